"""A ticketing system in Python, with nothing of ours but the proto files.

tickets.py GENERATED PORT FILE MODE   appends what is taken to FILE, a JSON line each. The file MODE says how it is:
ok, slow (answers after the client's patience), wrong (an error), unimplemented (as from a server that does not have the
service yet), empty (a ticket without a number). Whatever is asked, again or not, is a line of FILE.asked: the mode, what,
and its key.
"""

import json
import sys
import threading
import time
from concurrent import futures

sys.path.insert(0, sys.argv[1])
import grpc
from google.protobuf import json_format
from tierline.v1 import ticketing_pb2 as pb
from tierline.v1 import ticketing_pb2_grpc

_, _, port, path, mode = sys.argv
lock = threading.Lock()
answers = {}
try:
    with open(path) as known:
        for line in known:
            taken = json.loads(line)
            answers[taken["key"]] = taken.get("ticket_opened", "")
except FileNotFoundError:
    pass
out = open(path, "a")
asked = open(path + ".asked", "a")


def once(rpc, request, context):
    """Does a thing once for its key."""
    now = open(mode).read().strip()
    with lock:
        asked.write(json.dumps({"mode": now, "rpc": rpc, "key": request.key}) + "\n")
        asked.flush()
    if now == "empty" and rpc == "open":
        return ""
    if now == "wrong":
        context.abort(grpc.StatusCode.INTERNAL, "something broke")
    if now == "unimplemented":
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    with lock:
        if request.key not in answers:
            taken = json_format.MessageToDict(request, preserving_proto_field_name=True)
            taken["rpc"] = rpc
            if rpc == "open":
                taken["ticket_opened"] = str(1001 + sum(1 for t in answers.values() if t))
            answers[request.key] = taken.get("ticket_opened", "")
            out.write(json.dumps(taken) + "\n")
            out.flush()
    if now == "slow":
        time.sleep(1.5)  # it was taken, and the answer comes too late
    return answers[request.key]


class Tickets(ticketing_pb2_grpc.TicketingServicer):
    def FindCaller(self, request, context):
        return pb.FindCallerResponse(name="Jo", tickets=[pb.Ticket(number="7", title="old", status="open")])

    def OpenTicket(self, request, context):
        return pb.OpenTicketResponse(ticket=once("open", request, context))

    def ScreenPop(self, request, context):
        once("pop", request, context)
        return pb.ScreenPopResponse()

    def FollowCall(self, request, context):
        once("follow", request, context)
        return pb.FollowCallResponse()

    def TicketStatus(self, request, context):
        if open(mode).read().strip() == "slow":
            time.sleep(0.7)
        # Whose case it is: a field that the system adds.
        return pb.TicketStatusResponse(
            found=request.ticket == "7",
            status="open",
            text="It is open.",
            fields={"owner": "1002", "due": "2026-12-24T17:30"},
        )


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
ticketing_pb2_grpc.add_TicketingServicer_to_server(Tickets(), server)
server.add_insecure_port("127.0.0.1:" + port)
server.start()
print("serves", flush=True)
server.wait_for_termination()
