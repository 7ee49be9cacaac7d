// A human's answer. One vote decides where nothing else is asked for; otherwise votes are counted
// until enough people, each with a credential of their own, have said the same.
#include "broker/message/issues.h"
#include "broker/packet/decide.h"
#include "broker/packet/details.h"
#include "broker/packet/electorate.h"
#include "broker/packet/hitl.h"
#include "broker/packet/lifecycle.h"
#include "broker/packet/loop.h"

#define OPTIONS_SHOWN 20 // in a refusal

static bool is_group(Text approver, Text *group)
{
    size_t prefix = strlen(GROUP_PREFIX);

    if (approver.len <= prefix || memcmp(approver.data, GROUP_PREFIX, prefix) != 0)
        return false;
    *group = (Text){approver.len - prefix, approver.data + prefix};
    return true;
}

static bool is_one_of(const struct decision *d, const Text *approvers, size_t count)
{
    const struct electorate *electorate = d->ctx;
    Text group;

    for (size_t i = 0; i < count; i++) {
        if (is_group(approvers[i], &group)
                ? electorate->is_member(electorate->ctx, d->key_id, group)
                : text_is(approvers[i], d->key_id))
            return true;
    }
    return false;
}

// The key that asked has no vote, by its name or as a member.
static size_t votes_of(const struct decision *d, Text approver)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    const struct electorate *electorate = d->ctx;
    const char *asker =
        arena_copy(d->arena, hitl->requested_by_key.data, hitl->requested_by_key.len);
    size_t members;
    Text group;

    if (!is_group(approver, &group))
        return !text_is(approver, asker);
    members = electorate->member_count(electorate->ctx, group);
    return members - (members > 0 && electorate->is_member(electorate->ctx, asker, group));
}

// As many votes as there can be; members of two groups count twice, which makes a majority harder.
static size_t count_voters(const struct decision *d, const Text *approvers, size_t count)
{
    size_t voters = 0;

    for (size_t i = 0; i < count; i++)
        voters += votes_of(d, approvers[i]);
    return voters;
}

static bool counts_votes(const Hr__Hitl *hitl)
{
    return hitl->n_approvers > 0 || hitl->quorum > 1;
}

static enum rc refuse_status(struct decision *d)
{
    char name[ENUM_TEXT_BYTES];

    return problem_set(&d->problem, d->arena, PROBLEM_NOT_AWAITING,
                       "Packet is in '%s' status, not 'awaiting_human'. Cannot respond.",
                       lifecycle_name(name, d->packet->status));
}

static enum rc check_voter(struct decision *d)
{
    const Hr__Hitl *hitl = d->packet->hitl;

    if (loop_is_diverted(d->packet) && text_is(d->packet->lineage->diverted_by_key, d->key_id))
        return problem_set(&d->problem, d->arena, PROBLEM_NOT_APPROVER,
                           "The API key that made the handoff loop cannot let it go on");
    if (!counts_votes(hitl))
        return RC_OK;
    if (hitl->n_approvers > 0 && !is_one_of(d, hitl->approvers, hitl->n_approvers) &&
        !is_one_of(d, hitl->escalated_to, hitl->n_escalated_to))
        return problem_set(&d->problem, d->arena, PROBLEM_NOT_APPROVER,
                           "This API key is not among the approvers of packet %s", d->packet_id);
    if (hitl->has_requested_by_key && text_is(hitl->requested_by_key, d->key_id))
        return problem_set(&d->problem, d->arena, PROBLEM_NOT_APPROVER,
                           "The API key that asked for the approval cannot give it");
    for (size_t i = 0; i < hitl->n_votes; i++) {
        if (text_is(hitl->votes[i]->key_id, d->key_id))
            return problem_set(&d->problem, d->arena, PROBLEM_ALREADY_VOTED,
                               "This API key has answered already");
    }
    return RC_OK;
}

static enum rc refuse_answer(struct decision *d, const char *field, const char *type,
                             const char *text, Text input)
{
    struct issues issues = {.arena = d->arena};
    struct path path = {0};
    struct issue *issue;

    path_push_name(&path, text_of("body"));
    path_push_name(&path, text_of(field));
    issue = issues_add(&issues, &path, type, text);
    issue->input = input;
    return issues_to_problem(&issues, &d->problem);
}

static enum rc check_answer(struct decision *d, const Hr__RespondPacket *request)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    struct buf list = {0};
    const char *text;

    if (hitl_verdict(hitl, loop_is_diverted(d->packet), request->response) == HITL_UNDECIDED)
        return problem_set(&d->problem, d->arena, PROBLEM_MUST_BE_ASKED_AGAIN,
                           "The checkpoint of packet %s does not say which answers approve; it "
                           "must be asked again with approve_options",
                           d->packet_id);
    if (request->subject != NULL && hitl->subject == NULL)
        return refuse_answer(d, "subject", "subject_unexpected",
                             "The checkpoint has no subject that could be edited",
                             request->subject->text);
    if (hitl_takes(hitl, request->response))
        return RC_OK;
    for (size_t i = 0; i < hitl->options->n_items && i < OPTIONS_SHOWN; i++)
        buf_printf(&list, "%s'%.*s'", i > 0 ? ", " : "", TEXT_ARGS(hitl->options->items[i]));
    if (hitl->options->n_items > OPTIONS_SHOWN)
        buf_puts(&list, ", ...");
    text = arena_printf(d->arena, "Input should be one of the options: %s", buf_text(&list));
    buf_fini(&list);
    return refuse_answer(d, "response", "enum", text, json_of_text(d->arena, request->response));
}

static Hr__Vote *add_vote(struct decision *d, const Hr__RespondPacket *request)
{
    Hr__Hitl *hitl = d->packet->hitl;
    Hr__Vote **votes = arena_calloc(d->arena, hitl->n_votes + 1, sizeof(Hr__Vote *));
    Hr__Vote *vote = wire_new(d->arena, &hr__vote__descriptor);

    vote->has_response = true;
    vote->response = request->response;
    vote->has_responded_by = true;
    vote->responded_by = request->responded_by;
    vote->has_key_id = true;
    vote->key_id = text_of(d->key_id);
    vote->at = wire_timestamp(d->arena, d->now_us);
    vote->has_notes = request->has_notes && request->notes.len > 0;
    vote->notes = request->notes;
    vote->subject = request->subject;
    if (hitl->n_votes > 0)
        memcpy(votes, hitl->votes, hitl->n_votes * sizeof(Hr__Vote *));
    votes[hitl->n_votes] = vote;
    hitl->votes = votes;
    hitl->n_votes++;
    return vote;
}

static bool is_same_subject(const Hr__Vote *a, const Hr__Vote *b)
{
    if (a->subject == NULL || b->subject == NULL)
        return a->subject == b->subject;
    return text_equal(a->subject->text, b->subject->text);
}

static enum hitl_verdict verdict_of(const struct decision *d, Text response)
{
    return hitl_verdict(d->packet->hitl, loop_is_diverted(d->packet), response);
}

static bool is_enough(const struct decision *d, const Hr__Vote *vote)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    size_t quorum = hitl->has_quorum ? (size_t)hitl->quorum : 1;
    bool rejects = verdict_of(d, vote->response) != HITL_APPROVES;
    size_t same = 0;
    size_t against = 0;
    size_t voters;

    if (!counts_votes(hitl))
        return true;
    for (size_t i = 0; i < hitl->n_votes; i++) {
        const Hr__Vote *other = hitl->votes[i];

        same += text_equal(other->response, vote->response) && is_same_subject(other, vote);
        against += verdict_of(d, other->response) != HITL_APPROVES;
    }
    if (!rejects)
        return same >= quorum;
    if (hitl->on_reject != HR__REJECT_POLICY__REJECT_POLICY_MAJORITY)
        return true;
    if (hitl->n_approvers == 0)
        return against >= quorum; // nobody knows how many there are
    voters = count_voters(d, hitl->approvers, hitl->n_approvers) +
             count_voters(d, hitl->escalated_to, hitl->n_escalated_to);
    return against * 2 > voters || against + quorum > voters;
}

static void put_subject(struct json_writer *details, const char *key, const Hr__Json *subject)
{
    json_key(details, key);
    json_raw(details, subject->text.data, subject->text.len);
}

static Text vote_details(struct decision *d, const Hr__Vote *vote, bool decided)
{
    const Hr__Hitl *hitl = d->packet->hitl;
    struct buf out = {0};
    struct json_writer *details = details_open(&out);

    details_put_text(details, "response", true, vote->response);
    details_put_text(details, "notes", vote->has_notes, vote->notes);
    if (decided) {
        details_put(details, "transition_to", "claimed");
    } else {
        json_key(details, "votes");
        json_integer(details, (long long)hitl->n_votes);
        json_key(details, "quorum");
        json_integer(details, hitl->has_quorum ? hitl->quorum : 1);
    }
    if (hitl->has_subject_digest)
        details_put_text(details, "subject_digest", true, hitl->subject_digest);
    if (vote->subject != NULL) {
        put_subject(details, "subject", hitl->subject);
        put_subject(details, "edited_subject", vote->subject);
    }
    return details_close(details, d->arena);
}

// A human has looked at a loop, and lets it go on: the path begins again with the one who has it.
static void forget_path(Hr__Lineage *lineage)
{
    lineage->has_diverted_by_key = false;
    if (lineage->n_path > 0)
        lineage->path += lineage->n_path - 1;
    lineage->n_path = lineage->n_path > 0;
}

static enum rc decide_answer(struct decision *d, const Hr__Vote *vote)
{
    Hr__Hitl *hitl = d->packet->hitl;
    bool approves = verdict_of(d, vote->response) == HITL_APPROVES;

    hitl->has_response = true;
    hitl->response = vote->response;
    hitl->has_responded_by = true;
    hitl->responded_by = vote->responded_by;
    hitl->responded_at = vote->at;
    if (vote->has_notes) {
        hitl->has_notes = true;
        hitl->notes = vote->notes;
    }
    if (vote->subject != NULL && approves) {
        hitl->approved_subject = vote->subject;
        hitl->subject_digest = hitl_digest(vote->subject, d->arena);
    }
    if (loop_is_diverted(d->packet) && approves)
        forget_path(d->packet->lineage);
    return lifecycle_step(d->packet, MOVE_ANSWER, d->now_us, d->arena);
}

enum rc decide_respond(struct decision *d, const ProtobufCMessage *message)
{
    const Hr__RespondPacket *request = (const Hr__RespondPacket *)message;
    const Hr__Vote *vote;
    enum rc rc = RC_OK;
    bool decided;

    if (d->packet == NULL)
        return decide_not_found(d);
    if (d->packet->status != HR__STATUS__STATUS_AWAITING_HUMAN)
        return refuse_status(d);
    if (d->packet->hitl == NULL)
        return problem_set(&d->problem, d->arena, PROBLEM_NO_CHECKPOINT,
                           "Packet has no HITL checkpoint");
    rc = check_voter(d);
    if (rc == RC_OK)
        rc = check_answer(d, request);
    if (rc != RC_OK)
        return rc;
    vote = add_vote(d, request);
    decided = is_enough(d, vote);
    if (decided)
        rc = decide_answer(d, vote);
    d->packet->updated_at = wire_timestamp(d->arena, d->now_us);
    d->event_type = text_of(decided ? "hitl_responded" : "hitl_voted");
    d->actor = text_prefixed(d->arena, "human:", request->responded_by);
    d->details = vote_details(d, vote, decided);
    return rc;
}
