"""JSON Schemas: registered once, and what they say of the contexts of packets."""

import asyncio
import json
import os
import signal
import time
import uuid

import httpx
import pytest
from agent import batch_pb2, chain_pb2, command_pb2, gather, schema_pb2
from packets import PACKETS, body
from rail import wait_until
from tenants import Tenants

SCHEMAS = "/api/v1/schemas"
NOWHERE = "11111111-1111-4111-8111-111111111111"
DRAFT_07 = "http://json-schema.org/draft-07/schema#"

# Of a context with a number in custom and at least one entry of conversation.
NUMBERED = {
    "type": "object",
    "required": ["summary", "custom"],
    "properties": {
        "custom": {
            "type": "object",
            "required": ["n"],
            "properties": {"n": {"type": "integer"}, "deep": {"items": {"type": "string"}}},
        }
    },
}


@pytest.fixture(scope="module")
def client(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as made:
        yield made


@pytest.fixture
def tenants(rail, loop, admin):
    made = Tenants(rail, loop, admin)
    yield made
    made.close()


def register(client, schema=None, headers=None, **parts):
    content = {"name": "n", "json_schema": schema or NUMBERED, **parts}
    answer = client.post(SCHEMAS, json=content, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def create(client, schema_id, summary="s", headers=None, **context):
    content = body(context={"summary": summary, **context}, schema_id=schema_id)
    return client.post(PACKETS, json=content, headers=headers)


def refused(answer):
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "validation_error"
    return answer.json()["detail"]


# --- the registry --------------------------------------------------------------------------------


def test_a_schema_is_kept_as_it_was_sent(client):
    schema = {"type": "object", "title": "Ünï", "x": [1.0, 1e2, None], "$comment": "\u0001"}
    made = register(client, schema, name="order", version=7)
    assert list(made) == ["id", "name", "version", "json_schema", "tenant_id", "created_at"]
    assert (made["name"], made["version"], made["tenant_id"]) == ("order", 7, "default")
    assert made["json_schema"] == schema
    answer = client.get(f"{SCHEMAS}/{made['id']}")
    assert answer.status_code == 200 and answer.json() == made
    assert client.get(f"{SCHEMAS}/{made['id'].upper()}").json() == made
    assert register(client)["version"] == 1


def test_numbers_are_kept_to_the_letter(client):
    text = '{"name":"n","json_schema":{"type":"number","maximum":1.10,"multipleOf":1E-2}}'
    answer = client.post(SCHEMAS, content=text, headers={"Content-Type": "application/json"})
    assert '"maximum":1.10,"multipleOf":1E-2' in answer.text
    assert '"maximum":1.10,"multipleOf":1E-2' in client.get(SCHEMAS + "/" + answer.json()["id"]).text


def test_lists_the_newest_first(tenants):
    client = tenants.client("t" + uuid.uuid4().hex[:8])
    assert client.get(SCHEMAS).json() == {"schemas": [], "total": 0, "limit": 50, "offset": 0}
    ids = []
    for i in range(5):
        ids.append(register(client, name=f"s{i}")["id"])
        assert client.get(SCHEMAS).json()["schemas"][0]["id"] == ids[-1]  # at once
    page = client.get(SCHEMAS, params={"limit": 2, "offset": 1}).json()
    assert [s["id"] for s in page["schemas"]] == [ids[3], ids[2]]
    assert (page["total"], page["limit"], page["offset"]) == (5, 2, 1)
    assert client.get(SCHEMAS, params={"offset": 9}).json()["schemas"] == []
    for params in ({"limit": 0}, {"limit": 201}, {"offset": -1}, {"limit": "x"}):
        assert client.get(SCHEMAS, params=params).status_code == 422


def test_what_is_not_there(client):
    for name in (NOWHERE, "x", "a b", "..%2Fkeys", "*", ">", "a.b", "%C3%BC"):
        answer = client.get(f"{SCHEMAS}/{name}")
        assert answer.status_code == 404, name
    assert client.get(f"{SCHEMAS}/nope").json()["detail"] == "Schema nope not found"
    made = register(client)
    for method in ("DELETE", "PATCH", "PUT"):
        assert client.request(method, f"{SCHEMAS}/{made['id']}").status_code == 405


def test_tenants_do_not_see_each_other(client, tenants):
    other = tenants.client("t" + uuid.uuid4().hex[:8])
    mine = register(client)
    assert other.get(f"{SCHEMAS}/{mine['id']}").status_code == 404
    assert other.get(SCHEMAS).json()["total"] == 0
    assert "not found" in refused(create(other, mine["id"], custom={"n": 1}))
    assert create(client, mine["id"], custom={"n": 1}).status_code == 201


def test_takes_the_role_of_a_writer(tenants):
    tenant = "t" + uuid.uuid4().hex[:8]
    for role, status in (("reader", 403), ("agent", 403), ("writer", 201)):
        client = tenants.client(tenant, role=role)
        content = {"name": "n", "json_schema": NUMBERED}
        assert client.post(SCHEMAS, json=content).status_code == status
        assert client.get(SCHEMAS).status_code == (200 if status == 201 else 403)


def test_a_repeat_registers_nothing_twice(client, tenants):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = register(client, headers=key)
    total = client.get(SCHEMAS).json()["total"]
    assert register(client, headers=key) == first
    assert client.get(SCHEMAS).json()["total"] == total
    answer = client.post(SCHEMAS, json={"name": "m", "json_schema": NUMBERED}, headers=key)
    assert answer.status_code == 422 and answer.json()["code"] == "idempotency_key_reused"
    other = tenants.client("t" + uuid.uuid4().hex[:8])
    assert register(other, headers=key)["id"] != first["id"]


BAD = [
    ({"name": "n", "json_schema": {"properties": {}}}, "value_error"),  # no type
    ({"name": "n", "json_schema": {}}, "value_error"),
    ({"json_schema": NUMBERED}, "missing"),
    ({"name": "n"}, "missing"),
    ({"name": "", "json_schema": NUMBERED}, "string_too_short"),
    ({"name": "n" * 129, "json_schema": NUMBERED}, "string_too_long"),
    ({"name": "n", "json_schema": []}, "dict_type"),
    ({"name": "n", "json_schema": "{}"}, "dict_type"),
    ({"name": "n", "json_schema": None}, None),
    ({"name": "n", "json_schema": True}, "dict_type"),
    ({"name": "n", "json_schema": NUMBERED, "version": 0}, "greater_than_equal"),
    ({"name": "n", "json_schema": NUMBERED, "version": "x"}, None),
    ({"name": 1, "json_schema": NUMBERED}, "string_type"),
]


@pytest.mark.parametrize("content, kind", BAD)
def test_refuses_nonsense(client, content, kind):
    answer = client.post(SCHEMAS, json=content)
    assert answer.status_code == 422, answer.text
    if kind is not None:
        assert answer.json()["detail"][0]["type"] == kind, answer.text


@pytest.mark.parametrize(
    "schema, words",
    [
        ({"type": "thing"}, "type should be"),
        ({"type": 1}, "type should be"),
        ({"type": []}, "type should"),
        ({"properties": {"a": {"minLength": -1}}}, "minLength"),
        ({"properties": {"a": {"minLength": -1}}}, "/properties/a"),
        ({"required": "a"}, "required"),
        ({"$defs": {"a": 7}}, "/$defs/a"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": "(?=a)"}, "pattern"),
        ({"pattern": "(a)\\1"}, "pattern"),
        ({"patternProperties": {"[": {}}}, "pattern"),
        ({"$ref": "https://example.org/x.json"}, "$ref"),
        ({"$ref": "file:///etc/passwd"}, "$ref"),
        ({"$ref": "#/$defs/none"}, "$ref"),
        ({"$ref": "#"}, "back to itself"),
        ({"allOf": [{"$ref": "#"}]}, "back to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
          "properties": {"x": {"$ref": "#/$defs/a"}}}, "back to itself"),
        ({"$dynamicRef": "#x"}, "$dynamicRef"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"properties": {"x": {"unevaluatedItems": False}}}, "/properties/x"),
        ({"minContains": 2}, "minContains"),
        ({"items": [{}]}, "prefixItems"),
        ({"dependencies": {}}, "dependentRequired"),
        ({"$schema": DRAFT_07, "prefixItems": [{}]}, "prefixItems"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "$schema"),
        ({"$schema": 4}, "$schema"),
        ({"properties": {"a": {"$id": "b"}}}, "$id"),
        ({"description": "x" * 70000}, "65536"),
    ],
)
def test_refuses_what_it_could_not_honour(client, schema, words):
    answer = client.post(SCHEMAS, json={"name": "n", "json_schema": {"type": "object", **schema}})
    [item] = refused(answer)
    assert item["type"] == "value_error" and item["loc"] == ["body", "json_schema"]
    assert words in item["msg"], item


def test_refuses_deep_and_wide_schemas(client):
    deep = {"type": "object"}
    for _ in range(120):
        deep = {"type": "object", "properties": {"a": deep}}
    for schema in (
        deep,
        {"type": "object", "properties": {f"p{i}": {} for i in range(3000)}},
        {"type": "object", "allOf": [{"pattern": f"^{i}$"} for i in range(100)]},
        {"type": "object", "pattern": "((a{100}){100}){100}"},
    ):
        refused(client.post(SCHEMAS, json={"name": "n", "json_schema": schema}))


# --- what they are for ---------------------------------------------------------------------------


def test_a_context_that_fits_is_taken(client):
    schema_id = register(client)["id"]
    answer = create(client, schema_id, custom={"n": 1})
    assert answer.status_code == 201 and "schema_id" not in answer.json()
    assert create(client, schema_id.upper(), custom={"n": 1.0}).status_code == 201


def test_one_that_does_not_is_refused_with_its_place(client):
    schema_id = register(client)["id"]
    total = client.get(PACKETS).json()["total"]
    for context, place in (
        ({}, "custom"),
        ({"custom": {"n": "1"}}, "custom.n"),
        ({"custom": {"n": 1, "deep": ["a", 2]}}, "custom.deep.1"),
    ):
        detail = refused(create(client, schema_id, **context))
        assert detail.startswith("Context validation failed: ")
        assert detail.endswith(f" (at '{place}')")
    top = register(client, {"type": "object", "required": ["nothing"]})["id"]
    assert refused(create(client, top)).endswith(" (at 'root')")
    assert client.get(PACKETS).json()["total"] == total


def test_a_schema_that_is_not_there(client):
    for name in (NOWHERE, "", "x y", "a.b", "*", "'"):
        assert refused(create(client, name)) == f"Schema '{name}' not found for this tenant"
    assert create(client, None).status_code == 201


def test_defaults_are_filled_in_before(client):
    schema = {
        "type": "object",
        "required": ["summary", "conversation_state", "artifacts", "custom"],
        "additionalProperties": False,
        "properties": {
            "summary": {"type": "string"},
            "conversation_state": {"type": "array", "maxItems": 0},
            "artifacts": {"type": "array"},
            "custom": {"type": "object", "maxProperties": 0},
        },
    }
    schema_id = register(client, schema)["id"]
    assert create(client, schema_id).status_code == 201
    refused(create(client, schema_id, unknown=1))
    refused(create(client, schema_id, custom={"a": 1}))


def test_drafts(client):
    old = {"$schema": DRAFT_07, "type": "object", "properties": {"custom": {
        "properties": {"l": {"items": [{"type": "integer"}], "additionalItems": False}},
        "dependencies": {"a": ["b"]}}}}
    new = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
           "properties": {"custom": {
               "properties": {"l": {"prefixItems": [{"type": "integer"}], "items": False}},
               "dependentRequired": {"a": ["b"]}}}}
    for schema in (old, new):
        schema_id = register(client, schema)["id"]
        assert create(client, schema_id, custom={"l": [1], "a": 1, "b": 2}).status_code == 201
        for custom in ({"l": ["1"]}, {"l": [1, 2]}, {"a": 1}):
            refused(create(client, schema_id, custom=custom))


def test_a_repeated_create_is_answered_with_the_first(client):
    schema_id = register(client)["id"]
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = create(client, schema_id, headers=key, custom={"n": 1})
    assert create(client, schema_id, headers=key, custom={"n": 1}).json() == first.json()
    answer = create(client, schema_id, headers=key, custom={"n": "x"})
    assert answer.json()["code"] == "idempotency_key_reused"


def test_work_is_bounded(client):
    """What would take for ever is refused, and soon."""
    doubling = {"type": "object", "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2}
                                            for i in range(40)}, "$ref": "#/$defs/d0"}
    doubling["$defs"]["d40"] = {}
    evil = {"type": "object", "properties": {"summary": {"pattern": "^(a+)+$"}}}
    tree = {"type": "object", "properties": {"custom": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"additionalProperties": {"$ref": "#/$defs/n"}}}}
    many = {"type": "object", "properties": {"custom": {"properties": {"l": {
        "uniqueItems": True, "items": {"enum": list(range(5000))}}}}}}
    nest = {}
    for _ in range(200):
        nest = {"a": nest}
    started = time.monotonic()
    assert "too much work" in refused(create(client, register(client, doubling)["id"]))
    refused(create(client, register(client, evil)["id"], summary="a" * 50000 + "!"))
    assert create(client, register(client, evil)["id"], summary="a" * 50000).status_code == 201
    assert create(client, register(client, tree)["id"], custom=nest).status_code == 201
    answer = create(client, register(client, many)["id"], custom={"l": list(range(4000))})
    assert "too much work" in refused(answer)
    assert time.monotonic() - started < 20


# --- batch, chain, NATS --------------------------------------------------------------------------


def test_each_of_a_batch_is_checked_alone(client):
    schema_id = register(client)["id"]

    def one(custom, **parts):
        return body(context={"summary": "s", "custom": custom}, **parts)

    packets = [one({"n": 1}, schema_id=schema_id), one({"n": "x"}, schema_id=schema_id),
               one({}), one({}, schema_id="nope"), {}, one({"n": 2}, schema_id=schema_id)]
    key = {"Idempotency-Key": uuid.uuid4().hex}
    answer = client.post(PACKETS + "/batch", json={"packets": packets}, headers=key)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert [p["context"]["custom"] for p in found["created"]] == [{"n": 1}, {}, {"n": 2}]
    errors = {e["index"]: e["error"] for e in found["errors"]}
    assert sorted(errors) == [1, 3, 4]
    assert errors[1].startswith("422: Context validation failed: ")
    assert errors[3] == "422: Schema 'nope' not found for this tenant"
    assert not errors[4].startswith("422: ")
    again = client.post(PACKETS + "/batch", json={"packets": packets}, headers=key)
    assert again.json() == found


def chain(client, parent, schema_id, headers=None, **context):
    content = body(context={"summary": "next", **context}, schema_id=schema_id)
    return client.post(f"{PACKETS}/{parent['id']}/chain", json=content, headers=headers)


def test_a_follow_up_is_checked_as_it_will_be_shown(client):
    said = {"type": "object", "properties": {
        "conversation_state": {"minItems": 2, "maxItems": 2}, "custom": {"required": ["a", "b"]}}}
    schema_id = register(client, said)["id"]
    talk = [{"role": "agent", "content": "x"}]
    parent = client.post(PACKETS, json=body(
        context={"summary": "s", "conversation_state": talk, "custom": {"a": 1}})).json()
    answer = chain(client, parent, schema_id, conversation_state=talk, custom={"b": 2})
    assert answer.status_code == 201, answer.text
    child = answer.json()
    assert len(child["context"]["conversation_state"]) == 2 and "schema_id" not in child
    assert child["context"]["custom"] == {"a": 1, "b": 2}
    assert child["metadata"]["created_at"] == child["created_at"]
    detail = refused(chain(client, parent, schema_id, conversation_state=talk))
    assert detail.endswith("(at 'custom')")
    assert refused(chain(client, parent, "")) == "Schema '' not found for this tenant"
    # The grandchild has all three.
    detail = refused(chain(client, child, schema_id, conversation_state=talk))
    assert detail.endswith("(at 'conversation_state')")
    answer = client.post(f"{PACKETS}/{NOWHERE}/chain", json=body(schema_id=schema_id))
    assert answer.status_code == 404


def test_a_repeated_follow_up_is_not_checked_against_a_changed_parent(client):
    schema_id = register(client, {"type": "object", "properties": {
        "conversation_state": {"maxItems": 0}}})["id"]
    parent = client.post(PACKETS, json=body()).json()
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = chain(client, parent, schema_id, headers=key)
    assert first.status_code == 201, first.text
    talk = [{"role": "agent", "content": "x"}]
    client.patch(f"{PACKETS}/{parent['id']}",
                 json={"context": {"summary": "s", "conversation_state": talk}})
    assert chain(client, parent, schema_id, headers=key).json() == first.json()
    refused(chain(client, parent, schema_id))


def test_the_other_door(loop, agent, client):
    async def run():
        made = (await agent.json("schema.create", {"name": "n", "json_schema": NUMBERED})).json()
        assert made["tenant_id"] == "default"
        message = schema_pb2.CreateSchema(name="p")
        message.json_schema.text = json.dumps(NUMBERED).encode()
        reply = await agent.protobuf("schema.create", message, {"Idempotency-Key": uuid.uuid4().hex})
        stored = reply.message()
        assert stored.version == 1 and json.loads(stored.json_schema.text) == NUMBERED
        reply = await agent.protobuf("schema.get", schema_pb2.GetSchema(schema_id=stored.id))
        assert reply.message() == stored
        reply = await agent.protobuf("schema.list", schema_pb2.ListSchemas(limit=2))
        assert [s.id for s in reply.message().schemas] == [stored.id, made["id"]]
        assert (await agent.json("schema.get", {"schema_id": NOWHERE})).status == 404
        # What is missing or no JSON.
        assert (await agent.protobuf("schema.create", schema_pb2.CreateSchema())).status == 422
        message.json_schema.text = b'{"type":'
        assert (await agent.protobuf("schema.create", message)).status == 422
        message.name = ""
        message.json_schema.text = b'{"type":"object"}'
        assert (await agent.protobuf("schema.create", message)).status == 422
        # Would it be taken?
        asked = {"schema_id": made["id"], "context": {"summary": "s", "custom": {"n": 1}}}
        assert (await agent.json("schema.check", asked)).json() == {"valid": True, "message": None}
        asked["context"]["custom"] = {}
        verdict = (await agent.json("schema.check", asked)).json()
        assert not verdict["valid"] and "(at 'custom')" in verdict["message"]
        # Creates.
        create = command_pb2.CreatePacket(schema_id=stored.id)
        create.metadata.source_agent.id = create.metadata.source_agent.name = "a"
        create.metadata.target_agent.id = create.metadata.target_agent.name = "b"
        create.context.summary = "s"
        reply = await agent.protobuf("packet.create", create)
        assert reply.status == 422 and reply.message().code == "validation_error"
        assert json.loads(reply.message().detail.text).startswith("Context validation failed: ")
        create.context.custom.text = b'{"n": 3}'
        assert (await agent.protobuf("packet.create", create)).status == 200
        create.schema_id = ""
        assert (await agent.protobuf("packet.create", create)).status == 422
        batch = batch_pb2.BatchCreate()
        batch.packets.add().text = json.dumps(body(schema_id=made["id"])).encode()
        reply = (await agent.protobuf("packet.batch-create", batch)).message()
        assert reply.errors[0].error.startswith("422: Context")
        parent = client.post(PACKETS, json=body()).json()
        follow = chain_pb2.ChainPacket(packet_id=parent["id"], schema_id=stored.id)
        follow.metadata.CopyFrom(create.metadata)
        follow.context.summary = "s"
        assert (await agent.protobuf("packet.chain", follow)).status == 422
        follow.context.custom.text = b'{"n": 3}'
        assert (await agent.protobuf("packet.chain", follow)).status == 200

    loop.run(run())


# --- copies, limits, deaths ----------------------------------------------------------------------


def test_a_tenant_has_room_for_so_many(make_rail):
    rail = make_rail(None, env={"HR_SCHEMAS_PER_TENANT": "2"})
    with rail, httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        key = {"Idempotency-Key": "one"}
        first = register(client, headers=key)
        register(client)
        answer = client.post(SCHEMAS, json={"name": "n", "json_schema": NUMBERED})
        assert answer.status_code == 409 and answer.json()["code"] == "schemas_full"
        assert register(client, headers=key) == first


def test_any_copy_answers_for_what_another_has_made(make_rail):
    rail = make_rail(None, "--scale", "schema=3")
    with rail, httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        for i in range(60):
            schema_id = register(client, name=f"s{i}")["id"]
            assert create(client, schema_id, custom={"n": i}).status_code == 201
            assert client.get(f"{SCHEMAS}/{schema_id}").status_code == 200
        wait_until(lambda: client.get(SCHEMAS).json()["total"] == 60, 5, "all copies know all")


def test_a_killed_worker_loses_nothing(make_rail):
    rail = make_rail(None)
    with rail, httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        made = [register(client, name=f"s{i}") for i in range(20)]
        pid = rail.pids["hr-worker-schema-1"]
        os.kill(pid, signal.SIGSTOP)  # nobody answers, and nobody starts another
        os.kill(pid, signal.SIGKILL)
        total = client.get(PACKETS).json()["total"]
        answer = create(client, made[0]["id"], custom={"n": 1})
        assert answer.status_code in (201, 503), answer.text
        stored = answer.status_code == 201
        assert client.post(PACKETS, json=body()).status_code == 201  # needs no schema worker
        rail.await_restart("hr-worker-schema-1", pid)
        wait_until(lambda: client.get(SCHEMAS).status_code == 200, 30, "it knows them again")
        page = client.get(SCHEMAS, params={"limit": 200}).json()
        assert page["schemas"] == made[::-1]
        assert client.get(PACKETS).json()["total"] == total + 1 + stored
        assert create(client, made[0]["id"], custom={"n": 1}).status_code == 201
        refused(create(client, made[0]["id"], custom={"n": "1"}))


def test_without_a_worker_nothing_is_stored(make_rail):
    rail = make_rail(None)
    with rail, httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        schema_id = register(client)["id"]
        pid = rail.pids["hr-worker-schema-1"]
        os.kill(pid, signal.SIGSTOP)
        try:
            answer = create(client, schema_id, custom={"n": 1})
            assert answer.status_code == 503, answer.text
            packets = {"packets": [body(schema_id=schema_id), body()]}
            answer = client.post(PACKETS + "/batch", json=packets)
            assert answer.status_code == 201 and len(answer.json()["created"]) == 1
            assert client.get(PACKETS).json()["total"] == 1
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: create(client, schema_id, custom={"n": 1}).status_code == 201, 20,
                   "the worker goes on")


def test_registrations_survive_kills(make_rail):
    """Under fire, what was answered is there, once."""
    rail = make_rail(None, "--scale", "schema=2")
    with rail, httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        async def run():
            done = {}

            async def register_all(first):
                async with httpx.AsyncClient(
                    base_url=rail.url, headers=rail.headers, timeout=30
                ) as web:
                    for i in range(first, first + 40):
                        content = {"name": f"s{i}", "json_schema": NUMBERED}
                        for _ in range(60):
                            answer = await web.post(
                                SCHEMAS, json=content, headers={"Idempotency-Key": f"k{i}"}
                            )
                            if answer.status_code == 201:
                                break
                            assert answer.status_code == 503, answer.text
                            await asyncio.sleep(0.2)
                        done[f"s{i}"] = answer.json()["id"]

            async def kill():
                for number in (1, 2, 1):
                    await asyncio.sleep(0.3)
                    name = f"hr-worker-schema-{number}"
                    if name in rail.pids:
                        os.kill(rail.pids[name], signal.SIGKILL)

            await gather(*(register_all(i * 40) for i in range(3)), kill())
            return done

        done = asyncio.run(run())
        assert len(done) == 120

        def all_know():  # whichever copy answers; one that has just started says 503
            answers = [client.get(SCHEMAS) for _ in range(8)]
            assert all(a.status_code in (200, 503) for a in answers)
            return all(a.status_code == 200 and a.json()["total"] == 120 for a in answers)

        wait_until(all_know, 20, "both copies know all")
        page = {}
        for offset in (0, 100):
            found = client.get(SCHEMAS, params={"limit": 100, "offset": offset}).json()
            assert found["total"] == 120
            page.update({s["name"]: s["id"] for s in found["schemas"]})
        assert page == done
