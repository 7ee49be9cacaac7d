// The table of field rules. A field that is not in it is optional, may be null, and has no bounds,
// except that every list ends at LIST_MAX.
#include "broker/message/rules.h"

#include <assert.h>
#include <stdlib.h>

#define PAGE_MAX 200
#define BATCH_MAX 50
#define SEARCH_MAX 2000      // characters of a search
#define SECONDS_MAX 31536000 // a year
#define HOPS_MAX 10000
#define PATH_MAX_AGENTS 16 // how many a packet remembers
#define FALLBACKS_MAX 16
#define VOTERS_MAX 64
#define STEPS_MAX 16
#define TAGS_MAX 64
#define PACKET_TAGS_MAX 1000
#define TEXTS_MAX 1000 // of a list that is a value by itself: options, carry, events
#define CONTEXT_BYTES_MAX (64 * 1048576) // assembled of a chain
#define HOOK_URL_MAX 2048
#define HOOK_FILTERS_MAX 64
#define FROM_MAX 64 // a UUID in any spelling, @, a sequence
#define LABEL_MAX 128

static const struct {
    const ProtobufCMessageDescriptor *message;
    const char *field;
    struct rule rule;
} table[] = {
    {&hr__create_packet__descriptor,      "metadata",          {.flags = RULE_REQUIRED}                                     },
    {&hr__create_packet__descriptor,      "context",           {.flags = RULE_REQUIRED}                                     },
    {&hr__create_packet__descriptor,      "parent_packet_id",  {.flags = RULE_UUID}                                         },
    {&hr__create_packet__descriptor,      "actions",           {.fallback = "{}"}                                           },
    {&hr__packet__descriptor,             "actions",           {.fallback = "{}"}                                           },
    {&hr__packet__descriptor,             "claim",             {.flags = RULE_QUIET}                                        },
    {&hr__packet__descriptor,             "lineage",           {.flags = RULE_QUIET}                                        },
    {&hr__packet__descriptor,             "declined",          {.flags = RULE_QUIET}                                        },
    {&hr__packet__descriptor,             "archived_at",       {.flags = RULE_QUIET}                                        },
    {&hr__claim__descriptor,              "lease_seconds",     {.flags = RULE_QUIET}                                        },
    {&hr__claim__descriptor,              "lease_expires_at",  {.flags = RULE_QUIET}                                        },
    {&hr__claim__descriptor,              "reserved",          {.flags = RULE_QUIET}                                        },
    {&hr__decline__descriptor,            "reason",            {.flags = RULE_QUIET}                                        },
    {&hr__chain_limits__descriptor,       "max_hops",          {.flags = RULE_QUIET, .min = 1, .max = HOPS_MAX}             },
    {&hr__chain_limits__descriptor,       "max_cycles",        {.flags = RULE_QUIET, .min = 1, .max = HOPS_MAX}             },
    {&hr__chain_limits__descriptor,
     "max_repeats",                                            {.flags = RULE_QUIET, .min = 1, .max = HOPS_MAX}             },
    {&hr__chain_limits__descriptor,
     "window",                                                 {.flags = RULE_QUIET, .min = 2, .max = PATH_MAX_AGENTS}      },
    {&hr__lineage__descriptor,            "limits",            {.flags = RULE_QUIET}                                        },
    {&hr__lineage__descriptor,            "max_context_bytes", {.flags = RULE_QUIET}                                        },
    {&hr__lineage__descriptor,            "omitted",           {.flags = RULE_QUIET}                                        },
    {&hr__lineage__descriptor,            "assembled",         {.flags = RULE_QUIET}                                        },
    {&hr__lineage__descriptor,            "diverted_by_key",   {.flags = RULE_QUIET}                                        },

    {&hr__live_event__descriptor,         "also",              {.flags = RULE_QUIET}                                        },
    {&hr__live_data__descriptor,          "parent_packet_id",  {.flags = RULE_QUIET}                                        },
    {&hr__live_data__descriptor,          "hitl_response",     {.flags = RULE_QUIET}                                        },
    {&hr__follow_packets__descriptor,     "since",             {.min = 0, .max = INT64_MAX}                                 },
    {&hr__socket_command__descriptor,     "since",             {.min = 0, .max = INT64_MAX}                                 },
    {&hr__listen_query__descriptor,       "api_key",           {.flags = RULE_SECRET}                                       },
    {&hr__listen_query__descriptor,       "since",             {.min = 0, .max = INT64_MAX}                                 },

    {&hr__source_agent__descriptor,       "id",                {.flags = RULE_REQUIRED}                                     },
    {&hr__source_agent__descriptor,       "name",              {.flags = RULE_REQUIRED}                                     },
    {&hr__target_agent__descriptor,       "id",                {.flags = RULE_REQUIRED}                                     },
    {&hr__target_agent__descriptor,       "name",              {.flags = RULE_REQUIRED}                                     },

    {&hr__metadata__descriptor,           "source_agent",      {.flags = RULE_REQUIRED}                                     },
    {&hr__metadata__descriptor,           "target_agent",      {.flags = RULE_REQUIRED}                                     },
    {&hr__metadata__descriptor,           "claimed_at",        {.flags = RULE_SERVER}                                       },
    {&hr__metadata__descriptor,           "completed_at",      {.flags = RULE_SERVER}                                       },
    {&hr__metadata__descriptor,           "priority",          {.fallback = "normal"}                                       },
    {&hr__metadata__descriptor,           "tags",              {.max = PACKET_TAGS_MAX}                                     },
    {&hr__string_list__descriptor,        "items",             {.max = TEXTS_MAX}                                           },
    {&hr__metadata__descriptor,           "addressed_to",      {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__metadata__descriptor,           "claim_policy",      {.flags = RULE_QUIET}                                        },
    {&hr__metadata__descriptor,
     "claim_by_seconds",                                       {.flags = RULE_QUIET, .min = 1, .max = SECONDS_MAX}          },
    {&hr__metadata__descriptor,           "fallback_agents",   {.flags = RULE_QUIET, .max = FALLBACKS_MAX}                  },
    {&hr__metadata__descriptor,           "on_unclaimed",      {.flags = RULE_QUIET}                                        },
    {&hr__metadata__descriptor,           "claim_by",          {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__metadata__descriptor,           "fallbacks_used",    {.flags = RULE_SERVER | RULE_QUIET}                          },

    {&hr__context__descriptor,            "summary",           {.flags = RULE_REQUIRED}                                     },
    {&hr__context__descriptor,            "custom",            {.flags = RULE_OBJECT, .fallback = "{}"}                     },
    {&hr__conversation_entry__descriptor, "role",              {.flags = RULE_REQUIRED}                                     },
    {&hr__conversation_entry__descriptor, "content",           {.flags = RULE_REQUIRED | RULE_OR_PARTS}                     },
    {&hr__conversation_entry__descriptor, "content_json",      {.flags = RULE_PARTS}                                        },
    {&hr__conversation_entry__descriptor, "metadata",          {.flags = RULE_OBJECT}                                       },
    {&hr__artifact__descriptor,           "key",               {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__artifact__descriptor,           "value",             {.flags = RULE_REQUIRED | RULE_COMPOUND}                     },

    {&hr__decision__descriptor,           "id",                {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__decision__descriptor,           "decision",          {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__decision__descriptor,           "rationale",         {.flags = RULE_REQUIRED}                                     },

    {&hr__pending_action__descriptor,     "id",                {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__pending_action__descriptor,
     "description",                                            {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__pending_action__descriptor,     "assignee",          {.flags = RULE_REQUIRED}                                     },
    {&hr__completed_action__descriptor,   "id",                {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__completed_action__descriptor,
     "description",                                            {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__completed_action__descriptor,   "result",            {.flags = RULE_REQUIRED}                                     },
    {&hr__failed_action__descriptor,      "retries_remaining", {.min = 0, .max = INT32_MAX}                                 },
    {&hr__failed_action__descriptor,      "id",                {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__failed_action__descriptor,
     "description",                                            {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__failed_action__descriptor,      "error",             {.flags = RULE_REQUIRED}                                     },

    {&hr__dependency__descriptor,         "id",                {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__dependency__descriptor,         "type",              {.flags = RULE_REQUIRED}                                     },
    {&hr__dependency__descriptor,
     "description",                                            {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__dependency__descriptor,         "status",            {.fallback = "unknown"}                                      },

    {&hr__hitl__descriptor,               "required",          {.fallback = "true"}                                         },
    {&hr__hitl__descriptor,               "reason",            {.flags = RULE_REQUIRED}                                     },
    {&hr__hitl__descriptor,               "response",          {.flags = RULE_SERVER}                                       },
    {&hr__hitl__descriptor,               "responded_at",      {.flags = RULE_SERVER}                                       },
    {&hr__hitl__descriptor,               "responded_by",      {.flags = RULE_SERVER}                                       },
    {&hr__hitl__descriptor,               "timeout_seconds",   {.min = 1, .max = SECONDS_MAX}                               },
    {&hr__hitl__descriptor,               "free_form",         {.flags = RULE_QUIET}                                        },
    {&hr__hitl__descriptor,               "approvers",         {.flags = RULE_QUIET, .max = VOTERS_MAX}                     },
    {&hr__hitl__descriptor,               "quorum",            {.flags = RULE_QUIET, .min = 1, .max = VOTERS_MAX}           },
    {&hr__hitl__descriptor,               "rejections",        {.flags = RULE_QUIET, .max = VOTERS_MAX}                     },
    {&hr__hitl__descriptor,               "approve_options",   {.flags = RULE_QUIET, .max = VOTERS_MAX}                     },
    {&hr__hitl__descriptor,               "on_reject",         {.flags = RULE_QUIET}                                        },
    {&hr__hitl__descriptor,               "escalation",        {.flags = RULE_QUIET, .max = STEPS_MAX}                      },
    {&hr__hitl__descriptor,               "on_timeout",        {.flags = RULE_QUIET}                                        },
    {&hr__hitl__descriptor,
     "warn_before_seconds",                                    {.flags = RULE_QUIET, .min = 1, .max = SECONDS_MAX}          },
    {&hr__hitl__descriptor,               "subject",           {.flags = RULE_QUIET}                                        },
    {&hr__hitl__descriptor,               "subject_digest",    {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "approved_subject",  {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "requested_at",      {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "deadline",          {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "requested_by_key",  {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "votes",             {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "steps_fired",       {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "warned",            {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "escalated_to",      {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__hitl__descriptor,               "timed_out",         {.flags = RULE_SERVER | RULE_QUIET}                          },
    {&hr__escalation_step__descriptor,
     "after_seconds",                                          {.flags = RULE_REQUIRED, .min = 1, .max = SECONDS_MAX}       },
    {&hr__escalation_step__descriptor,    "to",                {.flags = RULE_REQUIRED}                                     },
    {&hr__escalation_step__descriptor,    "note",              {.flags = RULE_QUIET}                                        },
    {&hr__vote__descriptor,               "notes",             {.flags = RULE_QUIET}                                        },
    {&hr__vote__descriptor,               "subject",           {.flags = RULE_QUIET}                                        },

    {&hr__packet_ref__descriptor,         "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__update_packet__descriptor,      "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__claim_packet__descriptor,       "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__claim_packet__descriptor,       "agent_id",          {.flags = RULE_REQUIRED}                                     },
    {&hr__claim_packet__descriptor,       "agent_name",        {.flags = RULE_REQUIRED}                                     },
    {&hr__claim_packet__descriptor,       "lease_seconds",     {.min = 1, .max = SECONDS_MAX}                               },
    {&hr__heartbeat_claim__descriptor,    "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__heartbeat_claim__descriptor,    "lease_seconds",     {.min = 1, .max = SECONDS_MAX}                               },
    {&hr__release_claim__descriptor,      "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__decline_packet__descriptor,     "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__decline_packet__descriptor,     "agent_id",          {.flags = RULE_REQUIRED}                                     },
    {&hr__reassign_packet__descriptor,    "agent_id",          {.flags = RULE_REQUIRED}                                     },
    {&hr__reassign_packet__descriptor,    "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__claim_next__descriptor,         "agent_id",          {.flags = RULE_REQUIRED}                                     },
    {&hr__claim_next__descriptor,         "agent_name",        {.flags = RULE_REQUIRED}                                     },
    {&hr__claim_next__descriptor,         "tags",              {.max = TAGS_MAX}                                            },
    {&hr__claim_next__descriptor,         "wait_seconds",      {.min = 0, .max = 60}                                        },
    {&hr__claim_next__descriptor,         "lease_seconds",     {.min = 1, .max = SECONDS_MAX}                               },
    {&hr__claim_next__descriptor,         "scope",             {.fallback = "addressed"}                                    },
    {&hr__respond_packet__descriptor,     "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__respond_packet__descriptor,     "response",          {.flags = RULE_REQUIRED}                                     },
    {&hr__respond_packet__descriptor,     "responded_by",      {.flags = RULE_REQUIRED}                                     },
    {&hr__get_history__descriptor,        "packet_id",         {.flags = RULE_UUID}                                         },

    {&hr__ancestor_ref__descriptor,       "carry",             {.flags = RULE_QUIET}                                        },
    {&hr__chain_packet__descriptor,       "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__chain_packet__descriptor,       "metadata",          {.flags = RULE_REQUIRED}                                     },
    {&hr__chain_packet__descriptor,       "context",           {.flags = RULE_REQUIRED}                                     },
    {&hr__chain_packet__descriptor,       "actions",           {.fallback = "{}"}                                           },
    {&hr__chain_packet__descriptor,       "max_context_bytes", {.min = 0, .max = CONTEXT_BYTES_MAX}                         },
    {&hr__get_context__descriptor,        "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__get_context__descriptor,        "from",              {.flags = RULE_REQUIRED, .max = FROM_MAX}                    },
    {&hr__get_version__descriptor,        "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__get_version__descriptor,        "event_id",          {.flags = RULE_UUID}                                         },
    {&hr__get_tree__descriptor,           "packet_id",         {.flags = RULE_UUID}                                         },
    {&hr__tree_node__descriptor,          "claimed_at",        {.flags = RULE_QUIET}                                        },
    {&hr__tree_node__descriptor,          "completed_at",      {.flags = RULE_QUIET}                                        },

    {&hr__list_packets__descriptor,       "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__list_packets__descriptor,       "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__batch_error__descriptor,        "index",             {.flags = RULE_QUIET}                                        },
    {&hr__batch_error__descriptor,        "packet_id",         {.flags = RULE_QUIET}                                        },
    {&hr__batch_create__descriptor,       "packets",           {.flags = RULE_OBJECT, .min = 1, .max = LIST_MAX}            },
    {&hr__batch_claim__descriptor,        "packet_ids",        {.flags = RULE_UUID, .min = 1, .max = BATCH_MAX}             },
    {&hr__batch_claim__descriptor,        "agent_id",          {.flags = RULE_REQUIRED}                                     },
    {&hr__batch_claim__descriptor,        "agent_name",        {.flags = RULE_REQUIRED}                                     },
    {&hr__batch_claim__descriptor,        "lease_seconds",     {.min = 1, .max = SECONDS_MAX}                               },
    {&hr__batch_complete__descriptor,
     "packet_ids",                                             {.flags = RULE_UUID, .min = 1, .max = BATCH_MAX}             },
    {&hr__batch_complete__descriptor,     "claims",            {.max = BATCH_MAX}                                           },
    {&hr__held_packet__descriptor,        "packet_id",         {.flags = RULE_REQUIRED | RULE_UUID}                         },
    {&hr__held_packet__descriptor,
     "generation",                                             {.flags = RULE_REQUIRED, .min = 1, .max = INT64_MAX}         },
    {&hr__batch_respond__descriptor,      "responses",         {.min = 1, .max = BATCH_MAX}                                 },
    {&hr__search_packets__descriptor,     "q",                 {.flags = RULE_REQUIRED, .min = 2, .max = SEARCH_MAX}        },
    {&hr__search_packets__descriptor,     "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__search_packets__descriptor,     "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__list_awaiting__descriptor,      "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__list_awaiting__descriptor,      "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__create_schema__descriptor,      "name",              {.flags = RULE_REQUIRED, .min = 1, .max = LABEL_MAX}         },
    {&hr__create_schema__descriptor,      "json_schema",       {.flags = RULE_REQUIRED | RULE_OBJECT}                       },
    {&hr__create_schema__descriptor,      "version",           {.min = 1, .max = INT64_MAX}                                 },
    {&hr__get_schema__descriptor,         "schema_id",         {.flags = RULE_REQUIRED}                                     },
    {&hr__list_schemas__descriptor,       "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__list_schemas__descriptor,       "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__check_context__descriptor,      "schema_id",         {.flags = RULE_REQUIRED}                                     },
    {&hr__check_context__descriptor,      "context",           {.flags = RULE_REQUIRED}                                     },
    {&hr__list_audit__descriptor,         "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__list_audit__descriptor,         "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__create_hook__descriptor,        "url",               {.flags = RULE_REQUIRED, .min = 1, .max = HOOK_URL_MAX}      },
    {&hr__create_hook__descriptor,        "agents",            {.max = HOOK_FILTERS_MAX}                                    },
    {&hr__create_hook__descriptor,        "tags",              {.max = HOOK_FILTERS_MAX}                                    },
    {&hr__create_hook__descriptor,
     "secret",                                                 {.flags = RULE_REQUIRED | RULE_SECRET, .min = 16, .max = 256}},
    {&hr__hook_ref__descriptor,           "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__update_hook__descriptor,        "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__update_hook__descriptor,        "url",               {.min = 1, .max = HOOK_URL_MAX}                              },
    {&hr__rotate_hook__descriptor,        "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__rotate_hook__descriptor,        "secret",            {.flags = RULE_SECRET, .min = 16, .max = 256}                },
    {&hr__recover_hook__descriptor,       "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__recover_hook__descriptor,       "since",             {.flags = RULE_REQUIRED}                                     },
    {&hr__hook_view__descriptor,          "agents",            {.flags = RULE_QUIET}                                        },
    {&hr__hook_view__descriptor,          "tags",              {.flags = RULE_QUIET}                                        },
    {&hr__hook_view__descriptor,          "updated_at",        {.flags = RULE_QUIET}                                        },
    {&hr__hook_view__descriptor,          "disabled_reason",   {.flags = RULE_QUIET}                                        },
    {&hr__hook_view__descriptor,          "secret",            {.flags = RULE_QUIET}                                        },
    {&hr__list_deliveries__descriptor,    "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__list_deliveries__descriptor,    "limit",             {.min = 1, .max = PAGE_MAX}                                  },
    {&hr__list_deliveries__descriptor,    "offset",            {.min = 0, .max = INT64_MAX}                                 },
    {&hr__list_dlq__descriptor,           "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__get_delivery__descriptor,       "hook_id",           {.flags = RULE_UUID}                                         },
    {&hr__get_delivery__descriptor,       "delivery_id",       {.flags = RULE_UUID}                                         },
    {&hr__replay_delivery__descriptor,    "delivery_id",       {.flags = RULE_UUID}                                         },
};

// Descriptors are found by their address in a small open-addressed table.
#define INDEX_SLOTS 256

static struct {
    const ProtobufCMessageDescriptor *message;
    struct rule *rules; // one per field
} slots[INDEX_SLOTS];
static bool built;
static const struct rule no_rule = {.min = INT64_MIN, .max = INT64_MAX};
static const struct rule extra_rule = {
    .flags = RULE_EXTRA | RULE_QUIET, .min = INT64_MIN, .max = INT64_MAX};
static const struct rule list_rule = {.min = INT64_MIN, .max = LIST_MAX}; // of any list

static size_t slot_of(const ProtobufCMessageDescriptor *message)
{
    size_t at = ((uintptr_t)message >> 5) * 0x9E3779B9U % INDEX_SLOTS;

    while (slots[at].message != NULL && slots[at].message != message)
        at = (at + 1) % INDEX_SLOTS;
    return at;
}

static unsigned field_index(const ProtobufCMessageDescriptor *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message, name);

    assert(field != NULL);
    return (unsigned)(field - message->fields);
}

static const struct rule *default_of(const ProtobufCMessageDescriptor *message, unsigned field)
{
    if (message->fields[field].id == EXTRA_FIELD)
        return &extra_rule;
    return message->fields[field].label == PROTOBUF_C_LABEL_REPEATED ? &list_rule : &no_rule;
}

static void build(void)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const ProtobufCMessageDescriptor *message = table[i].message;
        size_t at = slot_of(message);
        const struct rule *usual;
        struct rule *rule;

        if (slots[at].message == NULL) {
            slots[at].message = message;
            slots[at].rules = calloc(message->n_fields, sizeof *slots[at].rules); // for ever
            if (slots[at].rules == NULL)
                abort();
            for (unsigned k = 0; k < message->n_fields; k++)
                slots[at].rules[k] = *default_of(message, k);
        }
        usual = default_of(message, field_index(message, table[i].field));
        rule = &slots[at].rules[field_index(message, table[i].field)];
        *rule = table[i].rule;
        if (rule->min == 0 && rule->max == 0) {
            rule->min = usual->min;
            rule->max = usual->max;
        }
    }
    built = true;
}

const struct rule *rules_of(const ProtobufCMessageDescriptor *descriptor, unsigned field)
{
    size_t at;

    if (!built)
        build();
    at = slot_of(descriptor);
    return slots[at].message != NULL ? &slots[at].rules[field] : default_of(descriptor, field);
}

// No message holds itself, so this ends.
bool rules_hold_secret(const ProtobufCMessageDescriptor *descriptor)
{
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if ((rules_of(descriptor, i)->flags & RULE_SECRET) != 0 ||
            (field->type == PROTOBUF_C_TYPE_MESSAGE && rules_hold_secret(field->descriptor)))
            return true;
    }
    return false;
}
