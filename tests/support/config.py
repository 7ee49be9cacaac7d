"""Puts entries into the configuration buckets, as the admin of a rail."""

import hashlib
import secrets

import contract

admin_pb2 = contract.load("admin")


def new_key():
    return "hr_" + secrets.token_urlsafe(32)


async def put_key(admin, key, key_id, tenant="default", role="agent", **parts):
    entry = admin_pb2.ApiKey(id=key_id, tenant=tenant, name=key_id, role=role, **parts)
    digest = hashlib.sha256(key.encode()).hexdigest()
    await put(admin, "HR_KEYS", digest, entry)


async def put_tenant(admin, tenant, **parts):
    await put(admin, "HR_TENANTS", tenant, admin_pb2.Tenant(id=tenant, **parts))


async def put(admin, bucket, name, message):
    js = admin.nats.jetstream(timeout=admin.seconds)
    await js.publish(f"$KV.{bucket}.{name}", message.SerializeToString())
