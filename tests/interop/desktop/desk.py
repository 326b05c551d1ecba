"""A desktop in Python, with nothing of ours but the proto files.

desk.py GENERATED watch ADDRESS TOKEN FILE   appends each item to FILE, a JSON line each, and goes on where FILE ends
desk.py GENERATED do ADDRESS TOKEN COMMAND   asks one thing (JSON) and prints the outcome
desk.py GENERATED flood ADDRESS TOKEN COMMAND  asks it two dozen times, each with a key of its own
desk.py GENERATED look ADDRESS TOKEN -       what health and reflection say
desk.py GENERATED crowd ADDRESS TOKEN N      opens N streams at once and prints what becomes of each
desk.py GENERATED sloth ADDRESS TOKEN FILE   as watch, once, but sleeps after the first item until FILE.wake is there

With the environment's TRUST, a PEM file of roots, over TLS.
"""

import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
import grpc
from google.protobuf import json_format
from tierline.v1 import desk_pb2, desk_pb2_grpc

_, _, what, address, token, rest = sys.argv
WHO = [("authorization", "Bearer " + token)]
TRUST = os.environ.get("TRUST")


def connect():
    if TRUST is None:
        return grpc.insecure_channel(address)
    with open(TRUST, "rb") as roots:
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots.read()))


def keep(out, item):
    told = json_format.MessageToDict(item, preserving_proto_field_name=True)
    told["cursor"] = item.cursor.hex()
    out.write(json.dumps(told) + "\n")
    out.flush()


def watch(path):
    cursor = b""
    try:
        with open(path) as known:
            lines = known.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith("\n"):
                cursor = bytes.fromhex(json.loads(line)["cursor"])
    except FileNotFoundError:
        pass
    with open(path, "a") as out:
        while True:
            with connect() as channel:
                try:
                    for item in desk_pb2_grpc.DeskStub(channel).Watch(
                        desk_pb2.WatchRequest(cursor=cursor), metadata=WHO
                    ):
                        cursor = item.cursor
                        keep(out, item)
                except grpc.RpcError as error:
                    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OUT_OF_RANGE):
                        print(error.code().name, flush=True)
                        return
            time.sleep(0.1)


def do(text):
    command = json_format.ParseDict(json.loads(text), desk_pb2.Command())
    with connect() as channel:
        outcome = desk_pb2_grpc.DeskStub(channel).Do(command, metadata=WHO, timeout=15)
    print(json.dumps(json_format.MessageToDict(outcome, preserving_proto_field_name=True)))


def flood(text):
    asked = json.loads(text)
    with connect() as channel:
        for number in range(24):
            asked["key"] = "flood-%d" % number
            command = json_format.ParseDict(asked, desk_pb2.Command())
            outcome = desk_pb2_grpc.DeskStub(channel).Do(command, metadata=WHO, timeout=15)
            assert outcome.HasField("done"), outcome
    print("flooded", flush=True)


def look(_):
    """By hand: their proto files are not ours."""
    raw = lambda message: message
    with connect() as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", raw, raw)
        health = check(b"", timeout=15).hex()
        ask = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", raw, raw)
        # list_services = 7: "*"
        answer = next(iter(ask(iter([b"\x3a\x01*"]), timeout=15)))
    known = [name for name in ("tierline.v1.Desk", "grpc.health.v1.Health") if name.encode() in answer]
    print(json.dumps({"health": health, "services": known}))


def crowd(count):
    with connect() as channel:
        stub = desk_pb2_grpc.DeskStub(channel)
        streams, said = [], []
        for _ in range(int(count)):
            streams.append(stub.Watch(desk_pb2.WatchRequest(), metadata=WHO))
            try:
                next(streams[-1])
                said.append("OK")
            except grpc.RpcError as error:
                said.append(error.code().name)
        print(json.dumps(said))


def sloth(path):
    with open(path, "a") as out, connect() as channel:
        stream = desk_pb2_grpc.DeskStub(channel).Watch(desk_pb2.WatchRequest(), metadata=WHO)
        keep(out, next(stream))
        print("sleeps", flush=True)
        while not os.path.exists(path + ".wake"):
            time.sleep(0.1)
        try:
            for item in stream:
                keep(out, item)
        except grpc.RpcError as error:
            print(error.code().name, flush=True)


{"watch": watch, "do": do, "flood": flood, "look": look, "crowd": crowd, "sloth": sloth}[what](rest)
