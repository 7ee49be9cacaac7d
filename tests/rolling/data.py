"""A client that stops at the first refusal."""

import httpx


class Client(httpx.Client):
    def __init__(self, rail):
        super().__init__(base_url=rail.url, headers=rail.headers, timeout=30)

    def made(self, method, path, body=None, status=(200, 201)):
        answer = self.request(method, path, json=body)
        assert answer.status_code in status, answer.text
        return answer.json()
