"""A desktop in Python, with nothing of ours but the proto files.

desk.py GENERATED watch ADDRESS TOKEN FILE   appends each item to FILE, a JSON line each, and goes on where FILE ends
desk.py GENERATED do ADDRESS TOKEN COMMAND   asks one thing (JSON) and prints the outcome
"""

import json
import sys
import time

sys.path.insert(0, sys.argv[1])
import grpc
from google.protobuf import json_format
from tierline.v1 import desk_pb2, desk_pb2_grpc

_, _, what, address, token, rest = sys.argv
WHO = [("authorization", "Bearer " + token)]


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
            with grpc.insecure_channel(address) as channel:
                try:
                    for item in desk_pb2_grpc.DeskStub(channel).Watch(
                        desk_pb2.WatchRequest(cursor=cursor), metadata=WHO
                    ):
                        cursor = item.cursor
                        told = json_format.MessageToDict(item, preserving_proto_field_name=True)
                        told["cursor"] = cursor.hex()
                        out.write(json.dumps(told) + "\n")
                        out.flush()
                except grpc.RpcError as error:
                    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OUT_OF_RANGE):
                        print(error.code().name, flush=True)
                        return
            time.sleep(0.1)


def do(text):
    command = json_format.ParseDict(json.loads(text), desk_pb2.Command())
    with grpc.insecure_channel(address) as channel:
        outcome = desk_pb2_grpc.DeskStub(channel).Do(command, metadata=WHO, timeout=15)
    print(json.dumps(json_format.MessageToDict(outcome, preserving_proto_field_name=True)))


watch(rest) if what == "watch" else do(rest)
