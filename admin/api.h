/* admin/api.h — the JSON endpoints under /v1: rollouts, verbs, verdicts, decisions.
 *
 * Every function ends the request. docs/api.md describes requests and answers.
 */
#ifndef ADMIN_API_H
#define ADMIN_API_H

#include "admin/ports.h"
#include "net/serve.h"

void api_rollouts(const struct admin_ports *, struct serve_request *);
/* 404 that lists the names there are. */
void api_unknown_rollout(const struct admin_ports *, struct serve_request *, struct str name);
void api_rollout(const struct admin_ports *, struct serve_request *, struct str name);
void api_verdict(const struct admin_ports *, struct serve_request *, struct str name);
void api_command(const struct admin_ports *, struct serve_request *, struct str name,
                 enum command_kind);
void api_decision(const struct admin_ports *, struct serve_request *, struct str id);
void api_decisions(const struct admin_ports *, struct serve_request *);
void api_journal(const struct admin_ports *, struct serve_request *, struct str name);

/* The body of a verb, checked: unknown members, wrong types and members of another verb are errors
 * that name the member. `who` is not set. An empty body is an empty object. */
int api_parse_command(struct str body, enum command_kind, struct command *ret,
                      struct error *reterr);

#endif
