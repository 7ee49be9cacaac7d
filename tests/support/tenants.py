"""Tenants with keys and limits of their own, as the admin writes them into the buckets.

    tenants = Tenants(rail, loop, admin)
    client = tenants.client("t-one", role="writer")
    tenants.limit("t-one", max_hops=300)
"""

import hashlib
import secrets
import time

import contract
import httpx
from packets import PACKETS

admin_pb2 = contract.load("admin")

NOWHERE = "11111111-1111-4111-8111-111111111111"


class Tenants:
    def __init__(self, rail, loop, admin):
        self.url = rail.url
        self.loop = loop
        self.admin = admin
        self.clients = []

    def put(self, bucket, key, message):
        async def put():
            store = await self.admin.nats.jetstream().key_value(bucket)
            await store.put(key, message.SerializeToString())

        self.loop.run(put())

    def client(self, tenant, role="admin"):
        """With a new key that the gateway knows already."""
        text = "hr_" + secrets.token_urlsafe(32)
        digest = hashlib.sha256(text.encode()).hexdigest()
        key = admin_pb2.ApiKey(id="k" + secrets.token_hex(6), tenant=tenant, role=role)
        self.put("HR_KEYS", digest, key)
        client = httpx.Client(base_url=self.url, headers={"X-API-Key": text}, timeout=30)
        self.clients.append(client)
        deadline = time.monotonic() + 5
        while client.get(f"{PACKETS}/{NOWHERE}").status_code == 401:
            assert time.monotonic() < deadline, "the gateway has not seen the new key"
            time.sleep(0.005)
        return client

    def limit(self, tenant, **limits):
        """Workers follow the bucket; what they know is a few milliseconds old at most."""
        self.put("HR_TENANTS", tenant, admin_pb2.Tenant(id=tenant, **limits))
        time.sleep(0.1)

    def close(self):
        for client in self.clients:
            client.close()
