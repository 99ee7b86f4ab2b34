/* traffic: sends requests to a model API and says exactly what became of each. */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/arena.h"
#include "base/units.h"
#include "examples/traffic/load.h"

enum { BODY_BYTES_MAX = 8 * 1024 * 1024, CONNECTIONS_MAX = 20000 };

static const char help[] =
    "usage: traffic --url URL [OPTIONS]\n"
    "\n"
    "Sends requests over keep-alive connections and says what became of each one.\n"
    "\n"
    "how much\n"
    "  --url URL            http://HOST:PORT[/BASE]; default http://127.0.0.1:8080\n"
    "  --rate N             open loop: N requests a second, latency from the time each was due.\n"
    "                       Without it closed loop: every connection sends when it has its answer\n"
    "  --connections N      at most (default 64, with --rate 256)\n"
    "  --duration 30s       default 10s, unless --requests is given\n"
    "  --requests N         stops after N\n"
    "  --timeout 30s        a request without its answer by then is lost; the end waits as long\n"
    "  --stop-file FILE     ends gracefully when FILE appears; so do SIGINT and SIGTERM (twice: "
    "now)\n"
    "\n"
    "what\n"
    "  --mix KINDS          predict=N, chat=N, stream=N (weights), get=/PATH[:N]; default "
    "predict=1\n"
    "  --max-tokens N       of chat and stream (16)\n"
    "  --path P             one request of your own instead: with --body TEXT or --body @FILE,\n"
    "                       --method M (POST with a body, else GET), --content-type T\n"
    "  --header 'N: V'      added to every request; repeatable. Host replaces the URL's\n"
    "  --seed N             the same sequence of kinds again\n"
    "\n"
    "reports\n"
    "  --report 1s          progress lines\n"
    "  --json FILE          the whole report as JSON; - is standard output\n"
    "  --log FILE           a line per request: start_ms end_ms status version id result, with "
    "the\n"
    "                       times in ms since 1970, status 0 without an answer, and result one of\n"
    "                       answered, cut, lost, connect\n"
    "  --quiet              no summary\n"
    "  --strict             exit 1 when a request was lost or got another one's answer\n"
    "  --help\n"
    "\n"
    "Every request carries its own x-request-id, and the answer's is compared with it. A request "
    "is\n"
    "answered, cut (its answer did not end as it announced) or lost (no answer came). The version\n"
    "is the answer's x-sluice-version, else its x-model-version.\n"
    "\n"
    "example\n"
    "  traffic --url http://127.0.0.1:8080 --rate 200 --duration 1m \\\n"
    "          --mix predict=70,chat=20,stream=10 --report 1s --json report.json\n";

struct options {
    struct load_options load;
    struct mix_target target;
    const char *url, *mix, *path, *method, *content_type, *body, *json, *log;
    const char *host_header; /* from --header; NULL: that of the URL */
    bool quiet, strict, duration_given;
    char host[256], port[8], base[512], host_field[280];
};

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "traffic: %s%s%s\ntry: traffic --help\n", what, value != NULL ? ": " : "",
            value != NULL ? value : "");
    return 2;
}

/* http://HOST[:PORT][/BASE] */
static bool parse_url(struct options *o)
{
    struct str rest = str_from(o->url), scheme = STR("http://"), host, port = STR("80");

    if (!str_starts_with(rest, scheme))
        return false;
    rest = (struct str){rest.ptr + scheme.len, rest.len - scheme.len};
    const char *slash = memchr(rest.ptr, '/', rest.len);
    size_t len = slash != NULL ? (size_t)(slash - rest.ptr) : rest.len;
    struct str base = {rest.ptr + len, rest.len - len};
    if (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    host = (struct str){rest.ptr, len};
    str_copy(o->host_field, sizeof(o->host_field), host);
    const char *colon = memrchr(host.ptr, ':', host.len);
    if (colon != NULL && memchr(colon, ']', (size_t)(host.ptr + host.len - colon)) == NULL) {
        port = (struct str){colon + 1, (size_t)(host.ptr + host.len - colon) - 1};
        host.len = (size_t)(colon - host.ptr);
    }
    if (host.len > 2 && host.ptr[0] == '[')
        host = (struct str){host.ptr + 1, host.len - 2};
    o->target.base = o->base;
    o->target.host_field = o->host_header != NULL ? o->host_header : o->host_field;
    return host.len > 0 && str_copy(o->host, sizeof(o->host), host) &&
           str_copy(o->port, sizeof(o->port), port) && str_copy(o->base, sizeof(o->base), base);
}

static int resolve(struct options *o)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(o->host, o->port, &hints, &found);

    if (code != 0) {
        fprintf(stderr, "traffic: %s:%s: %s\n", o->host, o->port, gai_strerror(code));
        return 1;
    }
    memcpy(&o->load.address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

static bool parse_count(const char *text, uint64_t max, uint64_t *ret)
{
    return str_to_u64(str_from(text), ret) && *ret > 0 && *ret <= max;
}

static bool parse_rate(const char *text, double *ret)
{
    char *end;

    *ret = strtod(text, &end);
    return end != text && *end == '\0' && *ret > 0 && *ret <= 1e6;
}

/* False when the value is wrong. */
/* A request has one Host: a header of that name takes its place. Content-Type is an option. */
static bool take_header(struct options *o, const char *line)
{
    struct str value = str_from(line), name;

    if (strchr(line, ':') == NULL || !str_split(&value, ':', &name))
        return false;
    while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t'))
        value = (struct str){value.ptr + 1, value.len - 1};
    if (str_ieq(name, STR("host"))) {
        o->host_header = value.ptr;
        return true;
    }
    if (str_ieq(name, STR("content-type")) || o->target.header_count == MIX_HEADERS_MAX)
        return false;
    o->target.headers[o->target.header_count++] = line;
    return true;
}

static bool set_option(struct options *o, int c, const char *value)
{
    uint64_t n = 0;
    bool ok = true;

    switch (c) {
    case 'u':
        o->url = value;
        break;
    case 'r':
        ok = parse_rate(value, &o->load.rate);
        break;
    case 'c':
        ok = parse_count(value, CONNECTIONS_MAX, &n);
        o->load.connections = (size_t)n;
        break;
    case 'd':
        ok = units_parse_duration(str_from(value), &o->load.duration_ns);
        o->duration_given = true;
        break;
    case 'n':
        ok = parse_count(value, UINT64_MAX, &o->load.requests);
        break;
    case 't':
        ok = units_parse_duration(str_from(value), &o->load.timeout_ns) && o->load.timeout_ns > 0;
        break;
    case 'f':
        o->load.stop_file = value;
        break;
    case 'm':
        o->mix = value;
        break;
    case 'k':
        ok = parse_count(value, UINT32_MAX, &n);
        o->target.max_tokens = (uint32_t)n;
        break;
    case 'p':
        o->path = value;
        break;
    case 'b':
        o->body = value;
        break;
    case 'M':
        o->method = value;
        break;
    case 'T':
        o->content_type = value;
        break;
    case 'H':
        ok = take_header(o, value);
        break;
    case 's':
        ok = parse_count(value, UINT64_MAX, &o->load.seed);
        break;
    case 'R':
        ok = units_parse_duration(str_from(value), &o->load.report_ns);
        break;
    case 'j':
        o->json = value;
        break;
    case 'l':
        o->log = value;
        break;
    case 'q':
        o->quiet = true;
        break;
    case 'S':
        o->strict = true;
        break;
    default:
        ok = false;
        break;
    }
    return ok;
}

/* 0: go on; else the exit status plus 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"url", 1, NULL, 'u'},          {"rate", 1, NULL, 'r'},
        {"connections", 1, NULL, 'c'},  {"duration", 1, NULL, 'd'},
        {"requests", 1, NULL, 'n'},     {"timeout", 1, NULL, 't'},
        {"stop-file", 1, NULL, 'f'},    {"mix", 1, NULL, 'm'},
        {"max-tokens", 1, NULL, 'k'},   {"path", 1, NULL, 'p'},
        {"body", 1, NULL, 'b'},         {"method", 1, NULL, 'M'},
        {"content-type", 1, NULL, 'T'}, {"header", 1, NULL, 'H'},
        {"seed", 1, NULL, 's'},         {"report", 1, NULL, 'R'},
        {"json", 1, NULL, 'j'},         {"log", 1, NULL, 'l'},
        {"quiet", 0, NULL, 'q'},        {"strict", 0, NULL, 'S'},
        {"help", 0, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int c, index = 0;

    while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return 1;
        }
        if (c == '?')
            return 1 + usage_error("unknown option", NULL);
        if (!set_option(o, c, optarg)) {
            char what[64];

            snprintf(what, sizeof(what), "bad value for --%s", options[index].name);
            return 1 + usage_error(what, optarg);
        }
    }
    if (optind < argc)
        return 1 + usage_error("unexpected argument", argv[optind]);
    if (o->body != NULL && o->path == NULL)
        return 1 + usage_error("--body needs --path", NULL);
    return parse_url(o) ? 0 : 1 + usage_error("--url wants http://HOST:PORT[/BASE]", o->url);
}

/* "@FILE" or the text itself. The caller frees. */
static int read_body(const char *body, char **ret, size_t *ret_len)
{
    if (body == NULL || body[0] != '@') {
        *ret = xstrdup(body != NULL ? body : "");
        *ret_len = strlen(*ret);
        return 0;
    }
    FILE *file = fopen(body + 1, "rb");
    if (file == NULL) {
        fprintf(stderr, "traffic: %s: %s\n", body + 1, strerror(errno));
        return 1;
    }
    *ret = xmalloc(BODY_BYTES_MAX + 1);
    *ret_len = fread(*ret, 1, BODY_BYTES_MAX + 1, file);
    bool bad = ferror(file) != 0 || *ret_len > BODY_BYTES_MAX;
    fclose(file);
    if (bad) {
        free(*ret);
        fprintf(stderr, "traffic: %s: cannot be read, or is over 8 MiB\n", body + 1);
    }
    return bad ? 1 : 0;
}

static int make_mix(const struct options *o, struct mix *m)
{
    struct error error = {0};
    char *body = NULL;
    size_t len = 0;

    if (o->path == NULL)
        return mix_parse(m, &o->target, o->mix, &error) == 0 ? 0
                                                             : usage_error("--mix", error.message);
    if (read_body(o->body, &body, &len) != 0)
        return 1;
    mix_single(m, &o->target,
               o->method != NULL ? o->method
               : o->body != NULL ? "POST"
                                 : "GET",
               o->path, o->content_type, (struct str){body, len});
    free(body);
    return 0;
}

static FILE *open_out(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

    if (file == NULL)
        fprintf(stderr, "traffic: %s: %s\n", path, strerror(errno));
    return file;
}

/* Prints what was asked for. */
static int finish(const struct options *o, struct load *l, const struct mix *m, FILE *json)
{
    const struct stats *s = load_stats(l);
    int64_t now_ns = load_now_ns();

    if (!o->quiet)
        report_summary(s, m, now_ns, o->load.progress);
    if (json != NULL)
        report_json(s, m, o->url, now_ns, json);
    return o->strict && s->lost + s->mismatched + s->duplicated > 0 ? 1 : 0;
}

static int run(struct options *o, const struct mix *m)
{
    FILE *json = NULL;

    if (o->json != NULL && (json = open_out(o->json)) == NULL)
        return 1;
    if (o->log != NULL && (o->load.log = open_out(o->log)) == NULL)
        return 1;
    o->load.progress = json == stdout || o->load.log == stdout ? stderr : stdout;
    struct load *l = load_new(uv_default_loop(), &o->load, m);
    load_run(l);
    int code = finish(o, l, m, json);
    load_free(l);
    uv_loop_close(uv_default_loop());
    if (o->load.log != NULL && o->load.log != stdout && fclose(o->load.log) != 0)
        code = 1;
    if (json != NULL && json != stdout && fclose(json) != 0)
        code = 1;
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.url = "http://127.0.0.1:8080",
                        .mix = "predict=1",
                        .content_type = "application/json",
                        .target = {.max_tokens = 16},
                        .load = {.timeout_ns = INT64_C(30000000000)}};
    struct mix m;
    int code = parse_options(argc, argv, &o);

    if (code != 0)
        return code - 1;
    if (o.load.connections == 0)
        o.load.connections = o.load.rate > 0 ? 256 : 64;
    if (!o.duration_given && o.load.requests == 0)
        o.load.duration_ns = INT64_C(10000000000);
    if ((code = resolve(&o)) != 0 || (code = make_mix(&o, &m)) != 0)
        return code;
    code = run(&o, &m);
    mix_deinit(&m);
    return code;
}
