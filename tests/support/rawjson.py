"""JSON and protobuf packets as one structure in which free-form JSON stays the text it was.

    {"context": {"summary": "x", "custom": Raw('{ "a":1.10}')}, ...}

Strings, numbers of the contract, lists and objects are Python's; times are text as the REST
contract writes them; Raw is free-form text. Nothing here uses a JSON library: those know only what
a number means, not how it was written.
"""

import datetime
import re

from google.protobuf.descriptor import FieldDescriptor

BLANK = re.compile(r"[ \t\r\n]*")
STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
SCALAR = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")
SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

# What an answer leaves out when it is absent or an empty list, by message.
LEFT_OUT_WHEN_ABSENT = {
    "Packet": {"claim", "lineage", "declined", "archived_at"},
    "Metadata": {"addressed_to", "claim_policy", "claim_by_seconds", "fallback_agents",
                 "on_unclaimed", "claim_by", "fallbacks_used"},
    "Claim": {"lease_seconds", "lease_expires_at", "reserved"},
    "Hitl": {"free_form", "approvers", "quorum", "rejections", "on_reject", "escalation",
             "on_timeout", "warn_before_seconds", "subject", "subject_digest",
             "approved_subject", "requested_at", "deadline", "requested_by_key", "votes",
             "steps_fired", "warned", "escalated_to", "timed_out", "approve_options"},
    "EscalationStep": {"note"},
}


class Raw:
    """Free-form JSON: equal when it is the same text."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, Raw) and self.text == other.text

    def __repr__(self):
        return f"Raw({self.text!r})"


# --- reading -------------------------------------------------------------------------------------


def unquote(token):
    text = ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else SHORT.get(m[2], m[2]), token[1:-1])
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


class Reader:
    def __init__(self, text, is_raw):
        self.text = text
        self.at = 0
        self.is_raw = is_raw  # path -> must this value stay as it is?

    def blank(self):
        self.at = BLANK.match(self.text, self.at).end()

    def take(self, mark):
        self.blank()
        assert self.text.startswith(mark, self.at), (mark, self.text[self.at : self.at + 40])
        self.at += len(mark)

    def next_is(self, mark):
        self.blank()
        return self.text.startswith(mark, self.at)

    def value(self, path):
        self.blank()
        start = self.at
        found = self.inside(path)
        if path[-1:] == ("content",) and not isinstance(found, str):
            return Raw(self.text[start : self.at])  # of a transcript: parts or null
        raw = self.is_raw(path) and (found is not None or is_unknown(str(path[-1])))
        return Raw(self.text[start : self.at]) if raw else found

    def inside(self, path):
        if self.next_is("{"):
            return self.members(path)
        if self.next_is("["):
            return self.elements(path)
        for pattern in (STRING, SCALAR):
            match = pattern.match(self.text, self.at)
            if match:
                self.at = match.end()
                return self.scalar(match[0])
        raise AssertionError(f"no JSON value: {self.text[self.at : self.at + 40]!r}")

    @staticmethod
    def scalar(token):
        if token[0] == '"':
            return unquote(token)
        if token in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[token]
        return int(token) if re.fullmatch(r"-?[0-9]+", token) else Raw(token)

    def members(self, path):
        found = {}
        self.take("{")
        while not self.next_is("}"):
            if found:
                self.take(",")
            self.blank()
            match = STRING.match(self.text, self.at)
            self.at = match.end()
            name = unquote(match[0])
            self.take(":")
            found[name] = self.value((*path, name))
        self.take("}")
        return found

    def elements(self, path):
        found = []
        self.take("[")
        while not self.next_is("]"):
            if found:
                self.take(",")
            found.append(self.value((*path, len(found))))
        self.take("]")
        return found


def is_unknown(name):
    """Tests begin the members that the contract does not know with an x: none of its own does."""
    return name.startswith("x")


def is_free_form(path):
    """Of a packet: which paths the contract leaves to its users."""
    names = [step for step in path if isinstance(step, str)]
    if path and isinstance(path[-1], str) and is_unknown(path[-1]):
        return True
    return names in (
        ["context", "custom"],
        ["context", "artifacts", "value"],
        ["context", "conversation_state", "metadata"],
        ["hitl", "subject"],
    ) and isinstance(path[-1], str)


def read_packet(data, at=()):
    """data: JSON bytes; at: the path of the packet in it."""
    reader = Reader(data.decode(), lambda path: is_free_form(path[len(at) :]))
    found = reader.value(())
    reader.blank()
    assert reader.at == len(reader.text)
    for step in at:
        found = found[step]
    return found


# --- protobuf ------------------------------------------------------------------------------------


def time_text(stamp):
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=stamp.seconds, microseconds=stamp.nanos // 1000
    )
    return moment.isoformat(timespec="microseconds") + "Z"


def enum_text(field, number):
    values = field.enum_type.values_by_number
    prefix = values[0].name.removesuffix("UNSPECIFIED")
    return values[number].name.removeprefix(prefix).lower()


def is_list(descriptor):
    return [field.name for field in descriptor.fields] == ["items"]


def of_value(field, value):
    if field.type == FieldDescriptor.TYPE_ENUM:
        return enum_text(field, value)
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        return value
    if field.message_type.name == "Json":
        return Raw(value.text.decode())
    if field.message_type.name == "Timestamp":
        return time_text(value)
    if is_list(field.message_type):
        items = field.message_type.fields_by_name["items"]
        return [of_value(items, item) for item in value.items]
    return of_message(value)


def of_message(message):
    """A protobuf message as the REST contract would show it."""
    found = {}
    left_out = LEFT_OUT_WHEN_ABSENT.get(message.DESCRIPTOR.name, ())
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.name == "extra":
            if message.HasField("extra"):
                found |= Reader(value.text.decode(), lambda path: bool(path)).value(())
            continue
        if field.name == "content_json":
            if message.HasField("content_json"):
                found["content"] = Raw(value.text.decode())
            continue
        if field.name in left_out and field not in {known for known, _ in message.ListFields()}:
            continue
        if field.label == FieldDescriptor.LABEL_REPEATED:
            found[field.name] = [of_value(field, item) for item in value]
        elif not field.has_presence or message.HasField(field.name):
            found[field.name] = of_value(field, value)
        else:
            found[field.name] = None
    return found


def fill_value(message, field, value):
    target = getattr(message, field.name)
    if field.type == FieldDescriptor.TYPE_ENUM:
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        number = field.enum_type.values_by_name[prefix + value.upper()].number
        setattr(message, field.name, number)
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        setattr(message, field.name, value)
    elif field.message_type.name == "Json":
        target.text = value.text.encode()
    elif field.message_type.name == "Timestamp":
        target.FromJsonString(value)
    elif is_list(field.message_type):
        target.SetInParent()
        fill_list(target.items, field.message_type.fields_by_name["items"], value)
    else:
        target.SetInParent()
        fill(target, value)


def fill_list(target, field, values):
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        for value in values:
            fill(target.add(), value)
    else:
        target.extend(values)


def fill(message, structure):
    """Sets a protobuf message to what a structure says; None is absent."""
    extra = {name: value for name, value in structure.items() if is_unknown(name)}
    if extra:
        message.extra.text = write(extra).encode()
    for name, value in structure.items():
        if name in extra:
            continue
        if name == "content" and isinstance(value, Raw):
            name = "content_json"
        field = message.DESCRIPTOR.fields_by_name[name]
        if value is None:
            continue
        if field.label == FieldDescriptor.LABEL_REPEATED:
            fill_list(getattr(message, name), field, value)
        else:
            fill_value(message, field, value)
    return message


# --- writing -------------------------------------------------------------------------------------


def quote(text, escape=lambda char: False):
    """escape: which of the characters that need none get one all the same."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif ord(char) < 0x20 or escape(char):
            units = char.encode("utf-16-be")
            out += [f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)]
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def write(value, escape=lambda char: False):
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, str):
        return quote(value, escape)
    if isinstance(value, dict):
        return "{" + ",".join(quote(k) + ":" + write(v, escape) for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(item, escape) for item in value) + "]"
    return {True: "true", False: "false", None: "null"}[value] if (
        value is None or isinstance(value, bool)
    ) else str(value)
