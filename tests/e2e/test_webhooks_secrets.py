"""Secrets that were replaced: they sign as well, each for as long as it was said."""

import base64
import hashlib
import hmac

import pytest
from hooks import HOOKS
from rail import wait_until
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SETTINGS = {"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1", "HR_WEBHOOK_ROTATION_SECONDS": "3"}
OLD_MAX = 4


def secret(number):
    return "whsec_" + base64.b64encode(f"{number:024d}".encode()).decode()


@pytest.fixture
def hook(receiver, hook_of):
    return hook_of(receiver.url, [], secret=secret(0))["id"]


def rotate(client, hook, number):
    return client.post(f"{HOOKS}/{hook}/rotate-secret", json={"secret": secret(number)})


def tested(client, receiver, hook):
    assert client.post(f"{HOOKS}/{hook}/test").json()["delivered"]
    return receiver.requests[-1]


def hexes(request, *numbers):
    return [hmac.new(secret(n).encode(), request.body, hashlib.sha256).hexdigest()
            for n in numbers]


def test_every_replaced_secret_signs_until_its_own_end(client, receiver, hook):
    assert "x-hr-signature-old" not in tested(client, receiver, hook).headers
    assert rotate(client, hook, 1).status_code == 200
    request = tested(client, receiver, hook)
    assert [request.headers["x-hr-signature"]] == hexes(request, 1)
    assert [request.headers["x-hr-signature-old"]] == hexes(request, 0)
    assert rotate(client, hook, 2).status_code == 200
    request = tested(client, receiver, hook)
    assert request.headers["x-hr-signature-old"].split(", ") == hexes(request, 1, 0)
    for number in 0, 1, 2:
        Webhook(secret(number)).verify(request.body, request.headers)

    wait_until(lambda: "x-hr-signature-old" not in tested(client, receiver, hook).headers, 10,
               "the end of the old ones")
    request = receiver.requests[-1]
    Webhook(secret(2)).verify(request.body, request.headers)
    for number in 0, 1:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret(number)).verify(request.body, request.headers)


def test_none_is_ended_early_for_a_new_one(client, receiver, hook):
    for number in range(1, OLD_MAX + 1):
        assert rotate(client, hook, number).status_code == 200
    refused = rotate(client, hook, OLD_MAX + 1)
    assert refused.status_code == 409 and refused.json()["code"] == "secrets_full"
    request = tested(client, receiver, hook)
    assert [request.headers["x-hr-signature"]] == hexes(request, OLD_MAX)
    assert request.headers["x-hr-signature-old"].split(", ") == hexes(request, 3, 2, 1, 0)
    wait_until(lambda: rotate(client, hook, OLD_MAX + 1).status_code == 200, 10, "room for one")
