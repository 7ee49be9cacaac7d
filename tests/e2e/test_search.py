"""Search, the queue of checkpoints, statistics."""

import asyncio
import urllib.parse
import uuid

import httpx
import nats
import pytest
from agent import query_pb2
from config import new_key, put_key
from packets import PACKETS, body, claim
from web import Web

HOUR = "2000-01-01T00:00:00Z"
HEALTH_KEYS = [
    "version", "uptime_seconds", "environment", "database_backend", "total_packets", "packets_by_status",
    "packets_created_last_1h", "packets_created_last_24h", "avg_time_to_claim_seconds",
    "avg_time_to_complete_seconds", "active_agents", "total_agents_seen", "top_agents", "packets_waiting",
    "oldest_waiting_packet_age_seconds", "claimed_not_completed", "total_webhooks", "recent_deliveries_1h",
    "failed_deliveries_1h", "avg_delivery_latency_ms", "db_size_bytes", "connection_pool",
    "active_api_keys", "requests_last_1h_per_key",
]


@pytest.fixture
def word():
    """A word that no other packet has."""
    return "zz" + uuid.uuid4().hex[:12]


async def create(web, summary="x", **parts):
    answer = await web.post(PACKETS, body(summary, **parts))
    assert answer.status == 201, answer
    return answer.json()["id"]


async def search(web, q, **parts):
    query = urllib.parse.urlencode({"q": q, **parts})
    answer = await web.get(f"{PACKETS}/search?{query}")
    assert answer.status == 200, (q, answer)
    return answer.json()


async def ids(web, q, **parts):
    return [packet["id"] for packet in (await search(web, q, **parts))["packets"]]


# --- search --------------------------------------------------------------------------------------


def test_finds_what_is_said_anywhere_best_first(loop, web, word):
    async def run():
        talk = {"summary": "x", "conversation_state": [
            {"role": "user", "content": f"hello there {word} and so on"}]}
        said = await create(web, context=talk)
        reason = await create(
            web, decisions=[{"id": "1", "decision": "yes", "rationale": f"because {word}"}])
        content = body()
        content["metadata"]["tags"] = [word]
        tagged = (await web.post(PACKETS, content)).json()["id"]
        title = await create(web, f"{word} {word}")
        found = await search(web, word)
        assert found["total"] == 4 and found["next_cursor"] is None
        order = [packet["id"] for packet in found["packets"]]
        assert order[0] == title and order[1] == tagged
        assert order[2:] == [reason, said]
        assert await ids(web, word, limit=1, offset=1) == [tagged]
        assert (await search(web, word, limit=1, offset=9))["total"] == 4

    loop.run(run())


def test_knows_the_language_of_searches(loop, web, word):
    async def run():
        late = await create(web, f"{word} refunding a late customer INV-2024/77 ann@example.org")
        other = await create(web, f"{word} café credit")
        both = {late, other}
        cases = {
            word: both, f"{word} refund": {late}, f"{word} refunded customers": {late},
            f'{word} "late customer"': {late}, f'{word} "customer late"': set(),
            f"{word} -credit": {late}, f"{word} nothing OR {word}": both,
            f"{word[:9]}*": both, f"{word} cust*": {late}, f"{word} INV-2024/77": {late},
            f"{word} ann@example.org": {late}, f"{word} cafe": {other}, f"{word} CAFÉ": {other},
        }
        for q, expected in cases.items():
            assert set(await ids(web, q)) == expected, q

    loop.run(run())


def test_finds_codes_addresses_and_their_parts(loop, web, word):
    async def run():
        text = (f"{word}: see (INV-2024/77), ann.lee@mail.example.org, https://ex.org/a_b/c?d=1#e and "
                "src/query/list.c at v1.20.3; 550e8400-e29b-41d4-a716-446655440000, C++, 50%")
        made = await create(web, text)
        other = await create(web, f"{word} INV-2024/78 INV-2025/77 ann.doe@mail.example.org v1.2.3")
        for q in ["INV-2024/77", "inv-2024/77", "2024/77", "'INV-2024/77'", "(INV-2024/77)", "INV-2024/77.",
                  "ann.lee@mail.example.org", "lee", "ann.lee@mail", "https://ex.org/a_b/c?d=1#e", "a_b",
                  "ex.org/a_b", "src/query/list.c", "list.c", "query", "v1.20.3", "v1.20", "c++",
                  "550e8400-e29b-41d4-a716-446655440000", "41d4-a716", "550e84*", "INV-2024/77*", "50%"]:
            assert await ids(web, f"{word} {q}") == [made], q
        for q in ["mail.example.org", "INV-2024/7*", "inv*", "exam*"]:
            assert set(await ids(web, f"{word} {q}")) == {made, other}, q
        for q in ["INV-2024/7", "INV-2023/77", "v1.20.4", "77/2024"]:
            assert await ids(web, f"{word} {q}") == [], q

    loop.run(run())


def test_finds_words_within_what_has_no_blanks(loop, web, word):
    texts = {
        "客户请求退款，订单状态未知": ["退款", "订单", "请求退款", "款", "知", "客户请求退款，订单状态未知", "客户 -发票"],
        "使用GitHub账号登录查看INV-2024报表": ["GitHub", "github账号", "INV-2024", "登录查看", "用GitHub", "INV-20*"],
        "返金をお願いします": ["返金", "お願い", "します"], "ขอคืนเงินด้วย": ["คืนเงิน", "ด้วย"],
        "환불을 요청": ["환불", "요청"], "shipped✅ party 🎉": ["🎉", "✅", "shipped", '"party 🎉"'],
        "ＡＢＣ１２３です": ["ABC123"], "Отправлено в Slackом": ["slack", "отправлено"],
    }

    async def run():
        made = {text: await create(web, f"{text} {word}") for text in texts}
        for text, queries in texts.items():
            for q in queries:
                assert await ids(web, f"{word} {q}") == [made[text]], (text, q)
        for q in ["款退", "请求订单", "单订", "🎊", "-退款 客户"]:
            assert await ids(web, f"{word} {q}") == [], q

    loop.run(run())


def test_refuses_more_exclusions_than_it_looks_for(loop, web, word):
    async def run():
        made = await create(web, word)
        assert await ids(web, word + " -no" * 16) == [made]
        q = urllib.parse.quote(word + " -no" * 17)
        refused = await web.get(f"{PACKETS}/search?q={q}")
        assert refused.status == 422, refused
        item, = refused.json()["detail"]
        assert item["loc"] == ["query", "q"] and "16" in item["msg"]

    loop.run(run())


ODD = [
    "a'b", "''", "a\\", "\\\\", "foo-bar", "(((", ")))", "a & b", "a | | b", "!!", "<->", "a <-> b",
    ":*", "a:*", "*:*", '""', '"""', "' OR 1=1 --", "%%", "%%s", "__", "$1", "\u0000\u0000", "a\u0000b",
    "\t\n", "  ", "--", "---", "- -", "-a", "-a -b", "OR", "or or", "NOT a", "summary:x", "a AND b",
    "NEAR(a b)", "^a", "{a b}", "[a]", "a+b", "日本語", "🎉🎉", "é" * 500, "a" * 2000, "a " * 999,
    "-" * 1000, '"' * 999, "'" * 999, "* " * 500, "\\'" * 300, "x' || 'y", "/*", "*/", "a;b",
    "<script>", "http://a/b?c=d&e=f", "\u202e\u200b\ufeffa", "\x7f\x01", "𝒳𝒴", "ﬁﬁ", "ßß",
]


@pytest.mark.parametrize("q", ODD)
def test_any_text_is_safe(loop, web, q):
    async def run():
        found = await search(web, q)
        assert set(found) == {"packets", "total", "limit", "offset", "next_cursor"}

    loop.run(run())


@pytest.mark.parametrize(
    "query", ["", "q=", "q=a", "q=ab&limit=0", "q=ab&limit=201", "q=ab&offset=-1", "q=ab&limit=x",
              "q=" + "a" * 2001]
)
def test_refuses_what_is_no_search(loop, web, query):
    async def run():
        answer = await web.get(f"{PACKETS}/search?{query}")
        assert answer.status == 422 and answer.json()["detail"][0]["loc"][0] == "query"

    loop.run(run())


def test_a_changed_text_is_found_and_the_old_one_is_not(loop, web, word):
    async def run():
        packet_id = await create(web, word)
        for _ in range(3):  # whatever else changes leaves the words alone
            await web.post(f"{PACKETS}/{packet_id}/claim", claim("a"))
            await web.post(f"{PACKETS}/{packet_id}/release", {"agent_id": "a"})
        assert await ids(web, word) == [packet_id]
        await web.request("PATCH", f"{PACKETS}/{packet_id}", {"context": {"summary": word[::-1]}})
        assert await ids(web, word) == []
        assert await ids(web, word[::-1]) == [packet_id]
        await web.request("DELETE", f"{PACKETS}/{packet_id}")
        assert await ids(web, word[::-1]) == [packet_id]
        assert await ids(web, word[::-1], status="created,claimed") == []
        assert await ids(web, word[::-1], status="expired", priority="normal") == [packet_id]
        assert await ids(web, word[::-1], priority="high") == []

    loop.run(run())


def test_a_huge_packet_does_not_stop_the_log(loop, make_rail):
    rail = make_rail(None, env={"HR_MAX_BODY_BYTES": "7340032"}).start()

    async def run():
        async with Web(rail.url, rail.headers, seconds=30) as web:
            words = " ".join(uuid.uuid4().hex for _ in range(60000))
            talk = [{"role": "user", "content": words[i : i + 30000]}
                    for i in range(0, len(words), 30000)]
            huge = await create(web, context={"summary": "the huge one", "conversation_state": talk})
            small = await create(web, "the small one")
            assert await ids(web, "huge") == [huge]
            assert set(await ids(web, "the one")) >= {huge, small}

    loop.run(run())


def test_no_tenant_finds_what_is_anothers(loop, rail, web, agent, admin, word):
    async def run():
        key = new_key()
        await put_key(admin, key, "stranger", tenant="strangers", role="admin")
        await asyncio.sleep(0.3)
        await create(web, word)
        assert len(await ids(web, word)) == 1
        answer = await agent.json("packet.search", {"q": word})
        assert answer.json()["total"] == 1
        async with Web(rail.url, {"X-API-Key": key}) as stranger:
            assert await ids(stranger, word) == []
            stats = (await stranger.get("/api/v1/stats")).json()
            assert stats["total_packets"] == 0
            health = (await stranger.get("/api/v1/system/health")).json()
            assert health["total_packets"] == 0 and health["top_agents"] == []

    loop.run(run())


# --- the queue of checkpoints --------------------------------------------------------------------


async def awaiting(web, **parts):
    answer = await web.get(f"{PACKETS}/awaiting?{urllib.parse.urlencode(parts)}")
    assert answer.status == 200, answer
    return answer.json()


def test_the_most_urgent_checkpoint_first(loop, web, word):
    async def run():
        async def ask(seconds=None, approvers=(), priority="normal"):
            content = body(hitl={"reason": "r", "approvers": list(approvers),
                                 "approve_options": ["yes"],
                                 **({"timeout_seconds": seconds} if seconds else {})})
            content["metadata"]["priority"] = priority
            return (await web.post(PACKETS, content)).json()["id"]

        never = await ask()
        later = await ask(900, [word])
        soon = await ask(300, ["group:" + word], "critical")
        made = [soon, later, never]

        def ours(page):
            return [packet["id"] for packet in page["packets"] if packet["id"] in made]

        page = await awaiting(web, limit=200)
        assert ours(page) == made and page["next_cursor"] is None
        assert page["total"] == len(page["packets"])
        assert ours(await awaiting(web, approver=word, limit=200)) == [later, never]
        assert ours(await awaiting(web, approver="group:" + word, limit=200)) == [soon, never]
        assert ours(await awaiting(web, priority="critical")) == [soon]
        due = (await web.get(f"{PACKETS}/{later}")).json()["hitl"]["deadline"]
        assert ours(await awaiting(web, due_before=due)) == [soon]
        assert ours(await awaiting(web, due_before=HOUR)) == []
        await web.request("DELETE", f"{PACKETS}/{soon}")
        assert ours(await awaiting(web, limit=200)) == [later, never]
        for packet_id in (later, never):
            await web.request("DELETE", f"{PACKETS}/{packet_id}")

    loop.run(run())


def test_an_approver_sees_what_its_groups_may_answer(loop, web, admin, word):
    async def run():
        await put_key(admin, new_key(), "ann-" + word, groups=["ops-" + word, "night-" + word])
        await put_key(admin, new_key(), "bob-" + word, groups=["ops-" + word], revoked=True)
        await put_key(admin, new_key(), "ann-" + word, tenant="else", groups=["law-" + word])
        made = {}
        for name in ("ann-" + word, "group:ops-" + word, "group:night-" + word, "group:law-" + word):
            answer = await web.post(PACKETS, body(hitl={"reason": "r", "approvers": [name],
                                                         "approve_options": ["yes"]}))
            made[name] = answer.json()["id"]

        async def seen(approver):
            page = await awaiting(web, approver=approver, limit=200)
            return {name for name, packet_id in made.items()
                    if packet_id in [packet["id"] for packet in page["packets"]]}

        async with asyncio.timeout(5):
            while len(await seen("ann-" + word)) != 3:
                await asyncio.sleep(0.05)
        assert "group:law-" + word not in await seen("ann-" + word)
        assert await seen("bob-" + word) == set()
        assert await seen("group:ops-" + word) == {"group:ops-" + word}
        for packet_id in made.values():
            await web.request("DELETE", f"{PACKETS}/{packet_id}")

    loop.run(run())


@pytest.mark.parametrize("query", ["limit=0", "offset=-1", "due_before=soon"])
def test_refuses_what_is_no_question(loop, web, query):
    async def run():
        assert (await web.get(f"{PACKETS}/awaiting?{query}")).status == 422

    loop.run(run())


# --- numbers -------------------------------------------------------------------------------------


def test_the_numbers_add_up(make_rail, loop):
    rail = make_rail(None).start()

    async def run():
        async with Web(rail.url, rail.headers) as web:
            empty = (await web.get("/api/v1/stats")).json()
            assert empty == {
                "total_packets": 0, "packets_by_status": {}, "packets_last_24h": 0,
                "avg_claim_time_seconds": None, "hitl_queue_depth": 0, "active_ws_connections": 0,
            }
            made = [await create(web) for _ in range(5)]
            await create(web, hitl={"reason": "r"})
            for packet_id in made[:3]:
                await web.post(f"{PACKETS}/{packet_id}/claim", claim("coder"))
            await web.request("PATCH", f"{PACKETS}/{made[0]}", {"status": "completed"})
            stats = (await web.get("/api/v1/stats")).json()
            assert stats["total_packets"] == 6 and stats["packets_last_24h"] == 6
            assert stats["packets_by_status"] == {
                "awaiting_human": 1, "claimed": 2, "completed": 1, "created": 2
            }
            assert stats["hitl_queue_depth"] == 1 and 0 < stats["avg_claim_time_seconds"] < 10
            health = (await web.get("/api/v1/system/health")).json()
            assert health["total_packets"] == 6 and health["packets_waiting"] == 2
            assert health["claimed_not_completed"] == 3
            assert health["active_agents"] == 1 and health["total_agents_seen"] == 2
            assert health["top_agents"] == [
                {"agent_id": "coder", "packet_count": 6}, {"agent_id": "planner", "packet_count": 6}
            ]
            assert 0 < health["avg_time_to_complete_seconds"] < 10
            assert 0 < health["oldest_waiting_packet_age_seconds"] < 60
            assert health["uptime_seconds"] > 0 and health["db_size_bytes"] > 0
            assert health["environment"] == "dev" and health["database_backend"] == "postgresql"
            assert health["packets_created_last_1h"] == 6
            asked = health["requests_last_1h_per_key"]
            assert list(asked) == ["default"] and asked["default"] > 10
            health = (await web.get("/api/v1/system/health")).json()
            assert health["requests_last_1h_per_key"]["default"] == asked["default"] + 1

    loop.run(run())


def test_who_may_see_the_numbers(loop, rail, admin, agent):
    async def run():
        keys = {role: new_key() for role in ("reader", "writer", "admin")}
        for role, key in keys.items():
            await put_key(admin, key, "numbers-" + role, tenant="numbers", role=role)
        sly = new_key()
        await put_key(admin, sly, "sly", tenant="platform", role="admin")
        await asyncio.sleep(0.3)
        for role, key in keys.items():
            headers = {"X-API-Key": key}
            assert httpx.get(rail.url + "/api/v1/stats", headers=headers).status_code == 200
            answer = httpx.get(rail.url + "/api/v1/system/health", headers=headers)
            assert answer.status_code == (200 if role == "admin" else 403)
        answer = httpx.get(rail.url + "/api/v1/stats", headers={"X-API-Key": sly})
        assert answer.status_code == 401
        answer = await agent.json("stats.get", {})
        assert answer.json()["active_ws_connections"] is None, "only a gateway knows"
        made = await agent.json("packet.create", body())
        answer = await agent.json("stats.get", {}, headers={"HR-Min-Seq": made.headers["HR-Seq"]})
        assert answer.json()["total_packets"] > 0

    loop.run(run())


# --- over NATS -----------------------------------------------------------------------------------


def test_agents_ask_the_same_over_nats(loop, web, agent, admin, word):
    async def run():
        made = await create(web, f"{word} INV-2024/77")
        waits = await create(web, word, hitl={"reason": "r", "approvers": [word],
                                               "approve_options": ["yes"]})
        seen = {"HR-Min-Seq": str(await admin.last_seq())}
        found = await agent.json("packet.search", {"q": f"{word} 2024/77", "limit": 1}, seen)
        assert [packet["id"] for packet in found.json()["packets"]] == [made]
        request = query_pb2.SearchPackets(q=word, status="awaiting_human")
        page = (await agent.protobuf("packet.search", request)).message()
        assert page.total == 1 and page.packets[0].id == waits
        page = (await agent.protobuf("packet.awaiting", query_pb2.ListAwaiting(approver=word))).message()
        assert waits in [packet.id for packet in page.packets]
        stats = (await agent.json("stats.get", {})).json()
        assert stats["hitl_queue_depth"] >= 1
        for verb, bad in {"packet.search": [{}, {"q": "a"}, {"q": "ab", "limit": 0}, {"q": 5}, b"", b"[]"],
                          "packet.awaiting": [{"limit": 201}, {"due_before": "soon"}]}.items():
            for payload in bad:
                answer = await agent.json(verb, payload)
                assert answer.status == 422, (verb, payload, answer)
        await web.request("DELETE", f"{PACKETS}/{waits}")

    loop.run(run())


def test_bytes_that_are_no_text_find_nothing(loop, agent):
    async def run():
        for junk in [b"\xff\xfe\x00", b"\xed\xa0\x80ab", b"\xf8\x88\x80\x80\x80", bytes(range(256))]:
            answer = await agent.send("packet.search", b"\x0a" + encode_length(len(junk)) + junk)
            assert answer.status in (200, 422), answer

    loop.run(run())


def encode_length(length):
    return bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])


def test_only_the_platform_sees_all_tenants(loop, rail, web, agent, admin, word):
    async def run():
        key = new_key()
        await put_key(admin, key, "tiny-admin", tenant="tiny", role="admin")
        await asyncio.sleep(0.3)
        async with Web(rail.url, {"X-API-Key": key}) as tiny:
            await create(tiny, word)
            own = (await tiny.get("/api/v1/system/health")).json()
        assert own["total_packets"] == 1 and own["active_api_keys"] == 1
        assert list(own) == HEALTH_KEYS
        await create(web, word)
        everything = (await web.get("/api/v1/system/health")).json()  # its own write is in there
        mine = (await web.get("/api/v1/stats")).json()
        assert list(everything) == HEALTH_KEYS
        assert everything["total_packets"] >= mine["total_packets"] + 1
        assert everything["active_api_keys"] >= 1
        answer = await agent.json("system.health", {}, {"HR-Min-Seq": str(await admin.last_seq())})
        assert answer.json()["total_packets"] == mine["total_packets"]

        agent.refused.clear()
        with pytest.raises(nats.errors.TimeoutError):
            await agent.nats.request("hr.v1.cmd.platform.agent.system.health", b"", timeout=0.5)
        assert any("permissions violation" in text.lower() for text in agent.refused)

    loop.run(run())
