// An agent without the gateway: creates a packet, claims it and completes it, over NATS alone.
//
//   cc agent.c ... $(pkg-config --cflags --libs libnats libprotobuf-c)   (see CMakeLists.txt beside
//   it) agent nats://agent:PASSWORD@127.0.0.1:4222 default agent
//
// The three arguments are the URL, the tenant and the key: the tokens that the agent may use in
// hr.v1.cmd.<tenant>.<key>.>, and its inbox is _INBOX.<key>. A deployment started with
// `handoffrail serve` keeps a ready-made URL in DATA/agent.nats.
#include <handoffrail/v1/command.pb-c.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct agent {
    natsConnection *nats;
    const char *tenant;
    const char *key;
};

// The contract's strings are length and bytes: they may hold anything that UTF-8 can.
static ProtobufCBinaryData text(const char *chars)
{
    return (ProtobufCBinaryData){strlen(chars), (uint8_t *)chars};
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

// Sends a command and returns the packet as it is afterwards; the caller frees it.
static Hr__Packet *command(struct agent *agent, const char *verb, const ProtobufCMessage *request)
{
    uint8_t bytes[4096];
    char subject[200];
    size_t len = protobuf_c_message_get_packed_size(request);
    const char *error = NULL;
    natsMsg *reply = NULL;
    Hr__Packet *packet;
    natsStatus s;

    if (len > sizeof bytes)
        fail(verb, "request is too large for this example");
    protobuf_c_message_pack(request, bytes);
    snprintf(subject, sizeof subject, "hr.v1.cmd.%s.%s.packet.%s", agent->tenant, agent->key, verb);
    s = natsConnection_Request(&reply, agent->nats, subject, bytes, (int)len, 5000);
    if (s != NATS_OK)
        fail(verb, natsStatus_GetText(s));
    // A refusal is a handoffrail.v1.Error; its code is in the headers as well.
    if (natsMsgHeader_Get(reply, "Nats-Service-Error", &error) == NATS_OK)
        fail(verb, error);
    packet = hr__packet__unpack(NULL, (size_t)natsMsg_GetDataLength(reply),
                                (const uint8_t *)natsMsg_GetData(reply));
    if (packet == NULL)
        fail(verb, "the answer is not a packet");
    natsMsg_Destroy(reply);
    printf("%-8s %.*s status %d\n", verb, (int)packet->id.len, (const char *)packet->id.data,
           (int)packet->status);
    return packet;
}

static Hr__Packet *create(struct agent *agent)
{
    Hr__SourceAgent source = HR__SOURCE_AGENT__INIT;
    Hr__TargetAgent target = HR__TARGET_AGENT__INIT;
    Hr__Metadata metadata = HR__METADATA__INIT;
    Hr__Context context = HR__CONTEXT__INIT;
    Hr__CreatePacket request = HR__CREATE_PACKET__INIT;

    source.has_id = source.has_name = 1;
    source.id = text("sales-01");
    source.name = text("SalesBot");
    target.has_id = target.has_name = 1;
    target.id = text("billing-01");
    target.name = text("BillingBot");
    metadata.source_agent = &source;
    metadata.target_agent = &target;
    context.has_summary = 1;
    context.summary = text("Customer wants to upgrade to the business tier");
    request.metadata = &metadata;
    request.context = &context;
    return command(agent, "create", &request.base);
}

static Hr__Packet *claim(struct agent *agent, ProtobufCBinaryData packet_id)
{
    Hr__ClaimPacket request = HR__CLAIM_PACKET__INIT;

    request.has_packet_id = request.has_agent_id = request.has_agent_name = 1;
    request.packet_id = packet_id;
    request.agent_id = text("billing-01");
    request.agent_name = text("BillingBot");
    return command(agent, "claim", &request.base);
}

static Hr__Packet *complete(struct agent *agent, ProtobufCBinaryData packet_id)
{
    Hr__UpdatePacket request = HR__UPDATE_PACKET__INIT;

    request.has_packet_id = request.has_status = 1;
    request.packet_id = packet_id;
    request.status = HR__STATUS__STATUS_COMPLETED;
    return command(agent, "update", &request.base);
}

int main(int argc, char **argv)
{
    struct agent agent = {0};
    natsOptions *options = NULL;
    char inbox[80];
    Hr__Packet *packet;
    natsStatus s;

    if (argc != 4) {
        fprintf(stderr, "Usage: %s NATS_URL TENANT KEY\n", argv[0]);
        return 2;
    }
    agent.tenant = argv[2];
    agent.key = argv[3];
    // Answers are sent to the inbox of the key and to nowhere else.
    snprintf(inbox, sizeof inbox, "_INBOX.%s", agent.key);
    s = natsOptions_Create(&options);
    if (s == NATS_OK)
        s = natsOptions_SetURL(options, argv[1]);
    if (s == NATS_OK)
        s = natsOptions_SetCustomInboxPrefix(options, inbox);
    if (s == NATS_OK)
        s = natsConnection_Connect(&agent.nats, options);
    if (s != NATS_OK)
        fail("connect", natsStatus_GetText(s));

    packet = create(&agent);
    hr__packet__free_unpacked(claim(&agent, packet->id), NULL);
    hr__packet__free_unpacked(complete(&agent, packet->id), NULL);
    hr__packet__free_unpacked(packet, NULL);

    natsConnection_Destroy(agent.nats);
    natsOptions_Destroy(options);
    nats_Close();
    return 0;
}
