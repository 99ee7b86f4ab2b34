/* Routing and the door. The access check comes before anything else, even for /healthz: a page that
 * can probe one path can tell that sluice runs here. */
#include "admin/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "admin/access.h"
#include "admin/api.h"
#include "admin/event_streams.h"
#include "admin/metrics.h"
#include "admin/prometheus.h"
#include "admin/reply.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/strbuf.h"
#include "net/serve.h"

enum {
    BODY_BYTES_MAX = 64 * 1024, /* a verb's body; 413 beyond */
    CONNECTIONS_MAX = 256,
    KEEP_ALIVE_MS = 15 * 1000,
};

struct admin {
    struct admin_ports ports;
    struct serve *serve;
    struct event_streams *events;
    struct metrics *metrics;
    uv_timer_t keep_alive;
};

struct route {
    const char *method;
    const char *prefix, *suffix; /* around a NAME; suffix NULL: the path is exactly `prefix` */
    void (*run)(struct admin *, struct serve_request *, const struct route *, struct str name);
    enum command_kind command;
};

static void get_index(struct admin *a, struct serve_request *r, const struct route *route,
                      struct str name)
{
    static const char *const endpoints[] = {
        "GET /v1/rollouts",
        "GET /v1/rollouts/NAME",
        "GET /v1/rollouts/NAME/verdict",
        "GET /v1/rollouts/NAME/journal",
        "POST /v1/rollouts/NAME/{promote,pause,resume,approve,rollback,retry}",
        "GET /v1/decisions",
        "GET /v1/decisions/ID",
        "GET /v1/events",
        "GET /metrics",
        "GET /healthz",
        "GET /readyz",
    };
    json_t *body = json_object(), *list = json_array();

    (void)a, (void)route, (void)name;
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
        json_array_append_new(list, json_string(endpoints[i]));
    json_object_set_new(body, "name", json_string("sluice"));
    json_object_set_new(body, "version", json_string(SLUICE_VERSION));
    json_object_set_new(body, "endpoints", list);
    reply_json(r, 200, body);
}

static void get_healthz(struct admin *a, struct serve_request *r, const struct route *route,
                        struct str name)
{
    (void)a, (void)route, (void)name;
    reply_text(r, 200, STR("text/plain; charset=utf-8"), STR("ok\n"));
}

static void get_readyz(struct admin *a, struct serve_request *r, const struct route *route,
                       struct str name)
{
    const char *why = a->ports.not_ready(a->ports.ctx);
    struct strbuf text;

    (void)route, (void)name;
    strbuf_init(&text, 512);
    strbuf_addf(&text, "%s\n", why == NULL ? "ready" : why);
    reply_text(r, why == NULL ? 200 : 503, STR("text/plain; charset=utf-8"), strbuf_str(&text));
    strbuf_deinit(&text);
}

static void get_metrics(struct admin *a, struct serve_request *r, const struct route *route,
                        struct str name)
{
    struct strbuf page;

    (void)route, (void)name;
    strbuf_init(&page, METRICS_BYTES_MAX);
    metrics_render(a->metrics, &page);
    if (page.overflow)
        reply_problem(r, 500, "metrics-too-large", "Metrics page too large",
                      "The page would be larger than %d MiB.", METRICS_BYTES_MAX / 1024 / 1024);
    else
        reply_text(r, 200, STR(PROMETHEUS_CONTENT_TYPE), strbuf_str(&page));
    strbuf_deinit(&page);
}

static bool known_rollout(const struct admin *a, struct str name)
{
    for (size_t i = 0; i < a->ports.set->count; i++)
        if (str_eq(name, str_from(a->ports.set->policies[i]->name)))
            return true;
    return false;
}

/* A stream of a rollout that does not exist would be silent for ever. */
static void get_events(struct admin *a, struct serve_request *r, const struct route *route,
                       struct str name)
{
    (void)route;
    if (serve_query_get(r, STR("rollout"), &name) && !known_rollout(a, name))
        api_unknown_rollout(&a->ports, r, name);
    else if (str_eq(serve_method(r), STR("HEAD")))
        reply_text(r, 200, STR("text/event-stream"), STR(""));
    else
        event_streams_subscribe(a->events, r);
}

static void get_rollouts(struct admin *a, struct serve_request *r, const struct route *route,
                         struct str name)
{
    (void)route, (void)name;
    api_rollouts(&a->ports, r);
}

static void get_rollout(struct admin *a, struct serve_request *r, const struct route *route,
                        struct str name)
{
    (void)route;
    api_rollout(&a->ports, r, name);
}

static void get_verdict(struct admin *a, struct serve_request *r, const struct route *route,
                        struct str name)
{
    (void)route;
    api_verdict(&a->ports, r, name);
}

static void get_decisions(struct admin *a, struct serve_request *r, const struct route *route,
                          struct str name)
{
    (void)route, (void)name;
    api_decisions(&a->ports, r);
}

static void get_journal(struct admin *a, struct serve_request *r, const struct route *route,
                        struct str name)
{
    (void)route;
    api_journal(&a->ports, r, name);
}

static void get_decision(struct admin *a, struct serve_request *r, const struct route *route,
                         struct str name)
{
    (void)route;
    api_decision(&a->ports, r, name);
}

static void post_command(struct admin *a, struct serve_request *r, const struct route *route,
                         struct str name)
{
    api_command(&a->ports, r, name, route->command);
    event_streams_pump(a->events);
}

#define ROLLOUTS "/v1/rollouts/"

static const struct route routes[] = {
    {"GET", "/", NULL, get_index, 0},
    {"GET", "/healthz", NULL, get_healthz, 0},
    {"GET", "/readyz", NULL, get_readyz, 0},
    {"GET", "/metrics", NULL, get_metrics, 0},
    {"GET", "/v1/events", NULL, get_events, 0},
    {"GET", "/v1/rollouts", NULL, get_rollouts, 0},
    {"GET", ROLLOUTS, "", get_rollout, 0},
    {"GET", ROLLOUTS, "/verdict", get_verdict, 0},
    {"GET", ROLLOUTS, "/journal", get_journal, 0},
    {"GET", "/v1/decisions", NULL, get_decisions, 0},
    {"GET", "/v1/decisions/", "", get_decision, 0},
    {"POST", ROLLOUTS, "/promote", post_command, COMMAND_PROMOTE},
    {"POST", ROLLOUTS, "/pause", post_command, COMMAND_PAUSE},
    {"POST", ROLLOUTS, "/resume", post_command, COMMAND_RESUME},
    {"POST", ROLLOUTS, "/approve", post_command, COMMAND_APPROVE},
    {"POST", ROLLOUTS, "/rollback", post_command, COMMAND_ROLLBACK},
    {"POST", ROLLOUTS, "/retry", post_command, COMMAND_RETRY},
};

/* NAME is one non-empty path segment. */
static bool route_matches(const struct route *route, struct str path, struct str *ret_name)
{
    struct str prefix = str_from(route->prefix), suffix = str_from(route->suffix);

    *ret_name = (struct str){NULL, 0};
    if (route->suffix == NULL)
        return str_eq(path, prefix);
    if (!str_starts_with(path, prefix) || path.len <= prefix.len + suffix.len ||
        !str_ends_with(path, suffix))
        return false;
    *ret_name = (struct str){path.ptr + prefix.len, path.len - prefix.len - suffix.len};
    return memchr(ret_name->ptr, '/', ret_name->len) == NULL;
}

/* True when the request was refused and has been answered. */
static bool refused(struct serve_request *r)
{
    switch (access_check(serve_header(r, STR("host")), serve_header(r, STR("origin")),
                         serve_header(r, STR("sec-fetch-site")))) {
    case ACCESS_OK:
        return false;
    case ACCESS_NO_HOST:
        reply_problem(r, 400, "host", "Host missing", "A request names its Host.");
        return true;
    case ACCESS_FOREIGN_HOST:
        reply_problem(r, 421, "host", "Not this host",
                      "The admin API answers to localhost, 127.0.0.0/8 and [::1] only. Use such an "
                      "address, through a tunnel if you are elsewhere.");
        return true;
    case ACCESS_FOREIGN_ORIGIN:
        reply_problem(r, 403, "origin", "Foreign origin",
                      "The request comes from a web page that is not served here.");
        return true;
    }
    UNREACHABLE();
}

static void reply_no_route(struct serve_request *r, const char *allow)
{
    if (allow == NULL) {
        reply_problem(r, 404, "not-found", "Not found",
                      "There is nothing at this path; GET / lists what there is.");
        return;
    }
    serve_add_header(r, STR("allow"), str_from(allow));
    reply_problem(r, 405, "method", "Method not allowed", "This path takes %s.", allow);
}

static void on_request(struct serve_request *r, void *arg)
{
    struct str method = serve_method(r), path = serve_path(r), name;
    const char *allow = NULL;

    if (refused(r))
        return;
    if (str_eq(method, STR("HEAD")))
        method = STR("GET");
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!route_matches(&routes[i], path, &name))
            continue;
        if (str_eq(method, str_from(routes[i].method))) {
            routes[i].run(arg, r, &routes[i], name);
            return;
        }
        allow = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
    }
    reply_no_route(r, allow);
}

static void on_keep_alive(uv_timer_t *timer)
{
    struct admin *a = timer->data;

    event_streams_keep_alive(a->events);
}

static int start(uv_loop_t *loop, const char *host, uint16_t port, int listener,
                 const struct admin_ports *ports, struct admin **ret, struct error *reterr)
{
    struct serve_options options = {
        .host = host,
        .port = port,
        .listener = listener,
        .body_max = BODY_BYTES_MAX,
        .connections_max = CONNECTIONS_MAX,
        .handler = on_request,
    };

    if (!access_address_is_loopback(host)) {
        error_set(reterr, -EPERM, "the admin API has no access control, so it cannot listen on %s",
                  host);
        error_hint(reterr, "use a loopback address such as 127.0.0.1:9900, and a tunnel to reach "
                           "it from elsewhere");
        return -EPERM;
    }
    struct admin *a = xcalloc(1, sizeof(*a));
    a->ports = *ports;
    options.arg = a;
    int rc = serve_start(loop, &options, &a->serve, reterr);
    if (rc != 0) {
        free(a);
        return rc;
    }
    a->events = event_streams_new(&a->ports);
    a->metrics = metrics_new(&a->ports);
    uv_timer_init(loop, &a->keep_alive);
    a->keep_alive.data = a;
    uv_timer_start(&a->keep_alive, on_keep_alive, KEEP_ALIVE_MS, KEEP_ALIVE_MS);
    *ret = a;
    return 0;
}

int admin_start(uv_loop_t *loop, const char *host, uint16_t port, const struct admin_ports *ports,
                struct admin **ret, struct error *reterr)
{
    return start(loop, host, port, 0, ports, ret, reterr);
}

int admin_adopt(uv_loop_t *loop, int fd, const struct admin_ports *ports, struct admin **ret,
                struct error *reterr)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "";

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        uv_ip_name((struct sockaddr *)&address, host, sizeof(host)) != 0)
        return error_set(reterr, -EINVAL, "the admin API was given a socket that is none of TCP");
    return start(loop, host, 0, fd, ports, ret, reterr);
}

int admin_descriptor(const struct admin *a)
{
    return serve_descriptor(a->serve);
}

uint16_t admin_port(const struct admin *a)
{
    return serve_port(a->serve);
}

void admin_pump(struct admin *a)
{
    event_streams_pump(a->events);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct admin *a = handle->data;

    metrics_free(a->metrics);
    free(a);
}

size_t admin_connections(const struct admin *a)
{
    return serve_connections(a->serve);
}

void admin_drain(struct admin *a)
{
    event_streams_free(a->events);
    a->events = event_streams_new(&a->ports);
    serve_drain(a->serve);
}

void admin_close(struct admin *a)
{
    if (a == NULL)
        return;
    event_streams_free(a->events);
    a->events = NULL;
    serve_close(a->serve);
    uv_close((uv_handle_t *)&a->keep_alive, on_timer_closed);
}
