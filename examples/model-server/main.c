/* A small, real inference server to stand behind sluice: it trains its two models when it starts,
 * answers three protocols, and fails on demand. One thread, one loop.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <uv.h>

#include "examples/model-server/service.h"

enum { CONNECTIONS_MAX = 16384, BODY_BYTES_MAX = 4 * 1024 * 1024 };

static const char help[] =
    "usage: model-server [OPTIONS]\n"
    "\n"
    "A small inference server: an n-gram text model and a topic classifier, trained at start.\n"
    "\n"
    "  --listen ADDRESS:PORT  default 127.0.0.1:9001; port 0 takes a free one. The first line on\n"
    "                         standard output is \"listening ADDRESS:PORT\"\n"
    "  --version VERSION      what answers say they come from (x-model-version, "
    "system_fingerprint,\n"
    "                         model_version); default 1.0.0\n"
    "  --model NAME           default ngram-chat\n"
    "  --strict-model         404 for requests that name another model\n"
    "  --control JSON         faults from the start on, as PUT /control takes them\n"
    "  --help\n"
    "\n"
    "pages\n"
    "  POST /v1/chat/completions   OpenAI chat, whole or \"stream\": true\n"
    "  GET  /v1/models\n"
    "  POST /predict               {\"text\": \"...\"} or {\"instances\": [\"...\"]}\n"
    "  POST /v2/models/M/infer     KServe v2; also /v2/health/{live,ready}, /v2/models/M[/ready]\n"
    "  GET  /health, /metrics      never faulty (health is 503 while loading)\n"
    "  GET, PUT, DELETE /control   faults: settings and counters\n"
    "\n"
    "faults (PUT /control; what is not named stays; DELETE or {\"reset\": true} clears them,\n"
    "{\"reset_counters\": true} the counters)\n"
    "  error_rate, error_status    share answered with that status (503)\n"
    "  hang_rate                   share never answered\n"
    "  reset_rate                  share whose connection is reset\n"
    "  truncate_rate               share cut off: a stream or a body that ends too soon\n"
    "  stream_error_rate           share of streams with an error event inside\n"
    "  latency_ms, latency_spread_ms   delay before an answer, uniform in latency +- spread\n"
    "  token_delay_ms              between two chunks of a stream\n"
    "  slow_start_ms               503 \"loading\" for so long from now; the 8 requests after it\n"
    "                              take a tenth of it longer\n"
    "  after_requests              the above (not token_delay, slow_start) begin after N requests\n"
    "  seed                        makes the draws repeatable\n"
    "\n"
    "example\n"
    "  model-server --listen 127.0.0.1:9002 --version 2.1.0 --control '{\"error_rate\": 0.05}'\n"
    "  curl -X PUT localhost:9002/control -d '{\"error_rate\": 0, \"latency_ms\": 40}'\n";

struct options {
    char host[64];
    uint16_t port;
    const char *control;
};

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "model-server: %s%s%s\ntry: model-server --help\n", what,
            value != NULL ? ": " : "", value != NULL ? value : "");
    return 2;
}

/* "127.0.0.1:9001", "[::1]:0". */
static bool parse_listen(const char *text, struct options *o)
{
    const char *colon = strrchr(text, ':');
    struct str host;
    uint64_t port;

    if (colon == NULL || !str_to_u64(str_from(colon + 1), &port) || port > UINT16_MAX)
        return false;
    host = (struct str){text, (size_t)(colon - text)};
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){host.ptr + 1, host.len - 2};
    o->port = (uint16_t)port;
    return host.len > 0 && str_copy(o->host, sizeof(o->host), host);
}

/* 0: go on; else the exit status plus 1. */
static int parse_options(int argc, char **argv, struct service *s, struct options *o)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"version", required_argument, NULL, 'v'},
                                            {"model", required_argument, NULL, 'm'},
                                            {"strict-model", no_argument, NULL, 's'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            if (!parse_listen(optarg, o))
                return 1 + usage_error("--listen wants ADDRESS:PORT", optarg);
            break;
        case 'v':
            s->version = optarg;
            break;
        case 'm':
            s->model = optarg;
            break;
        case 's':
            s->strict_model = true;
            break;
        case 'c':
            o->control = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return 1;
        default:
            return 1 + usage_error("unknown option", NULL);
        }
    }
    return optind < argc ? 1 + usage_error("unexpected argument", argv[optind]) : 0;
}

static int apply_control(struct service *s, const char *text)
{
    json_error_t where;
    json_t *document = json_loads(text, 0, &where);
    struct error error = {0};

    if (document == NULL)
        return usage_error("--control is not JSON", where.text);
    int code = faults_apply(&s->faults, document, (int64_t)uv_hrtime(), &error);
    json_decref(document);
    return code != 0 ? usage_error("--control", error.message) : 0;
}

struct signals {
    struct service *service;
    uv_signal_t term, interrupt;
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *all = handle->data;

    (void)number;
    serve_close(all->service->serve);
    uv_close((uv_handle_t *)&all->term, NULL);
    uv_close((uv_handle_t *)&all->interrupt, NULL);
}

static void watch_signals(struct signals *all, struct service *s)
{
    all->service = s;
    uv_signal_init(s->loop, &all->term);
    uv_signal_init(s->loop, &all->interrupt);
    all->term.data = all->interrupt.data = all;
    uv_signal_start(&all->term, on_signal, SIGTERM);
    uv_signal_start(&all->interrupt, on_signal, SIGINT);
}

static int run(struct service *s, const struct options *o)
{
    struct serve_options serve = {.host = o->host,
                                  .port = o->port,
                                  .body_max = BODY_BYTES_MAX,
                                  .connections_max = CONNECTIONS_MAX,
                                  .handler = routes_handle,
                                  .arg = s};
    struct signals signals;
    struct error error = {0};

    if (serve_start(s->loop, &serve, &s->serve, &error) != 0) {
        fprintf(stderr, "model-server: %s\n", error.message);
        if (error.code == -EADDRINUSE)
            fprintf(stderr, "is another server running? --listen takes another port\n");
        return 1;
    }
    watch_signals(&signals, s);
    bool v6 = strchr(o->host, ':') != NULL;
    printf("listening %s%s%s:%u\n", v6 ? "[" : "", o->host, v6 ? "]" : "",
           (unsigned)serve_port(s->serve));
    fflush(stdout);
    uv_run(s->loop, UV_RUN_DEFAULT);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.host = "127.0.0.1", .port = 9001};
    struct service s = {.loop = uv_default_loop(), .model = "ngram-chat", .version = "1.0.0"};
    int code = parse_options(argc, argv, &s, &o);

    if (code != 0)
        return code - 1;
    faults_init(&s.faults, (int64_t)uv_hrtime());
    if (o.control != NULL && (code = apply_control(&s, o.control)) != 0)
        return code;
    rng_seed_system(&s.rng);
    s.started_wall_s = (int64_t)time(NULL);
    s.ngram = ngram_train();
    s.classifier = classifier_train();
    code = run(&s, &o);
    uv_loop_close(s.loop);
    classifier_free(s.classifier);
    ngram_free(s.ngram);
    return code;
}
