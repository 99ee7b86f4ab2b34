/* The client of the admin API, on libcurl. Redirects are not followed and proxies from the
 * environment are not used: the API is on this machine or behind a tunnel, and a token must go
 * nowhere else. */
#include "cli/remote.h"

#include <curl/curl.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "cli/options.h"
#include "cli/output.h"

enum {
    ANSWER_BYTES_MAX = 64 * 1024 * 1024,
    CONNECT_TIMEOUT_S = 5,
    TIMEOUT_S = 30,
    URL_BYTES_MAX = 2048,
    FAILURE_BYTES_MAX = 32 * 1024,
};

struct remote {
    CURL *curl;
    char *url; /* without a trailing slash */
    struct curl_slist *headers;
    struct strbuf answer;
    struct strbuf failure; /* the whole text; struct error holds the beginning */
    char reason[CURL_ERROR_SIZE];
};

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct remote *c = arg;

    return strbuf_add(&c->answer, (struct str){bytes, size * count}) ? size * count : 0;
}

static void add_header(struct remote *c, const char *name, const char *value)
{
    struct strbuf line;

    strbuf_init(&line, URL_BYTES_MAX * 4);
    strbuf_addf(&line, "%s: %s", name, value);
    c->headers = curl_slist_append(c->headers, strbuf_cstr(&line));
    strbuf_deinit(&line);
}

static const char *from_environment(const struct cli_args *args, const char *option,
                                    const char *variable)
{
    const char *value = option_value(args, option);

    if (value == NULL)
        value = getenv(variable);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool plain_ascii(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s <= ' ' || *s >= 0x7f)
            return false;
    return true;
}

/* Who is at the keyboard, for the log of decisions; not a proof of anything. */
static const char *user_name(void)
{
    const struct passwd *entry = getpwuid(geteuid());
    const char *user = getenv("USER");

    if (user == NULL || user[0] == '\0')
        user = entry == NULL ? "cli" : entry->pw_name;
    return plain_ascii(user) ? user : "cli";
}

static void set_options(struct remote *c)
{
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->reason);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
}

/* NULL: an address that can be called. Otherwise what is wrong with it. */
static const char *url_fault(const char *text)
{
    char *port = NULL, *rest = NULL;
    const char *fault = NULL;
    CURLU *url = curl_url();

    if (strncmp(text, "https://", 8) == 0)
        fault = "has no https: the admin API speaks plain HTTP to its own machine; from elsewhere "
                "use a tunnel and http://";
    else if (strncmp(text, "http://", 7) != 0 || !plain_ascii(text) || strlen(text) > URL_BYTES_MAX)
        fault = "takes an address such as http://127.0.0.1:9900";
    else if (url == NULL)
        fault = "cannot be read: out of memory";
    else if (curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) != CURLUE_OK ||
             (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OK && strcmp(port, "0") == 0))
        fault = "is no valid address: it takes one such as http://127.0.0.1:9900, with a port from "
                "1 to 65535";
    else if (curl_url_get(url, CURLUPART_QUERY, &rest, 0) == CURLUE_OK ||
             curl_url_get(url, CURLUPART_FRAGMENT, &rest, 0) == CURLUE_OK)
        fault = "takes an address without ? and #";
    curl_free(port);
    curl_free(rest);
    curl_url_cleanup(url);
    return fault;
}

struct remote *remote_new(const struct cli_args *args)
{
    const char *url = from_environment(args, "admin", "SLUICE_ADMIN");
    const char *token = from_environment(args, "token", "SLUICE_TOKEN");

    url = url == NULL ? "http://127.0.0.1:9900" : url;
    const char *fault = url_fault(url), *name = args->command->name;
    if (fault != NULL) {
        fprintf(stderr, "sluice %s: %s %s\n", name,
                option_given(args, "admin") ? "--admin" : "SLUICE_ADMIN", fault);
        return NULL;
    }
    if (token != NULL && !plain_ascii(token)) {
        fprintf(stderr, "sluice %s: a token is one word of ASCII characters\n", name);
        return NULL;
    }
    struct remote *c = xcalloc(1, sizeof(*c));
    c->url = xstrdup(url);
    for (size_t n = strlen(c->url); n > 0 && c->url[n - 1] == '/'; n--)
        c->url[n - 1] = '\0';
    strbuf_init(&c->answer, ANSWER_BYTES_MAX);
    strbuf_init(&c->failure, FAILURE_BYTES_MAX);
    add_header(c, "Accept", "application/json");
    add_header(c, "Content-Type", "application/json");
    add_header(c, "Expect", "");
    add_header(c, "X-Sluice-User", user_name());
    if (token != NULL) {
        struct strbuf bearer;
        strbuf_init(&bearer, URL_BYTES_MAX * 4);
        strbuf_addf(&bearer, "Bearer %s", token);
        add_header(c, "Authorization", strbuf_cstr(&bearer));
        strbuf_deinit(&bearer);
    }
    c->curl = curl_easy_init();
    if (c->curl != NULL)
        set_options(c);
    return c;
}

void remote_free(struct remote *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    strbuf_deinit(&c->answer);
    strbuf_deinit(&c->failure);
    free(c->url);
    free(c);
}

void remote_limit(struct remote *c, int ms)
{
    if (c->curl == NULL)
        return;
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)ms);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)ms);
}

const char *remote_url(const struct remote *c)
{
    return c->url;
}

/* Keeps the whole text in `failure` and as much as fits in reterr. */
static int fail(struct remote *c, int code, struct error *reterr)
{
    return error_set(reterr, code, "%s", strbuf_cstr(&c->failure));
}

/* Nobody answered: what it was and what to do. */
static int unreachable(struct remote *c, CURLcode code, struct error *reterr)
{
    long system_error = 0;
    const char *why = c->reason[0] != '\0' ? c->reason : curl_easy_strerror(code);

    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &system_error);
    if (code == CURLE_COULDNT_CONNECT && system_error == ECONNREFUSED)
        why = "connection refused";
    else if (code == CURLE_OPERATION_TIMEDOUT)
        why = "no answer in time";
    else if (code == CURLE_COULDNT_RESOLVE_HOST)
        why = "the name is not known";
    strbuf_addf(&c->failure,
                "cannot reach sluice at %s: %s. Is it running? Start it with: sluice run FILE, or "
                "name another with --admin URL",
                c->url, why);
    return fail(c, -EHOSTUNREACH, reterr);
}

/* A problem document as "title: detail". */
static int problem(struct remote *c, long status, const json_t *body, struct error *reterr)
{
    const char *title = json_string_value(json_object_get(body, "title"));
    const char *detail = json_string_value(json_object_get(body, "detail"));
    int code = status == 404 ? -ENOENT : REMOTE_REFUSED;

    if (title == NULL) {
        strbuf_addf(&c->failure,
                    "%s answered %ld and not as sluice does. Is it sluice's admin address?", c->url,
                    status);
        return fail(c, -EPROTO, reterr);
    }
    strbuf_addf(&c->failure, "%s%s%s", title, detail == NULL ? "" : ": ",
                detail == NULL ? "" : detail);
    return fail(c, code, reterr);
}

static CURLcode perform(struct remote *c, const char *method, const char *path, const json_t *body)
{
    struct strbuf url;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    bool post = strcmp(method, "POST") == 0;

    strbuf_init(&url, URL_BYTES_MAX * 2);
    strbuf_addf(&url, "%s%s", c->url, path);
    strbuf_reset(&c->answer);
    strbuf_reset(&c->failure);
    c->reason[0] = '\0';
    curl_easy_setopt(c->curl, CURLOPT_URL, strbuf_cstr(&url));
    curl_easy_setopt(c->curl, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
    if (post)
        curl_easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS, text == NULL ? "" : text);
    CURLcode code = curl_easy_perform(c->curl);
    strbuf_deinit(&url);
    free(text);
    return code;
}

int remote_try(struct remote *c, const char *method, const char *path, const json_t *body,
               json_t **ret, struct error *reterr)
{
    long status = 0;

    if (c->curl == NULL)
        return error_set(reterr, -ENOMEM, "cannot start libcurl");
    CURLcode code = perform(c, method, path, body);
    if (code != CURLE_OK)
        return unreachable(c, code, reterr);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *answer = json_loadb(strbuf_cstr(&c->answer), c->answer.len, JSON_DECODE_ANY, NULL);
    if (status >= 200 && status < 300 && answer != NULL) {
        *ret = answer;
        return 0;
    }
    int rc = problem(c, status, answer, reterr);
    json_decref(answer);
    return rc;
}

const char *remote_failure(const struct remote *c)
{
    return strbuf_cstr(&c->failure);
}

void remote_print_failure(const struct remote *c)
{
    struct strbuf line;

    strbuf_init(&line, FAILURE_BYTES_MAX + 64);
    strbuf_add(&line, STR("sluice: "));
    output_add(&line, false, COLOUR_NONE, strbuf_str(&c->failure));
    strbuf_add_char(&line, '\n');
    output_write(stderr, &line);
    strbuf_deinit(&line);
}

int remote_call(struct remote *c, const char *method, const char *path, const json_t *body,
                json_t **ret)
{
    if (remote_try(c, method, path, body, ret, NULL) == 0)
        return CLI_OK;
    remote_print_failure(c);
    return CLI_FAILED;
}

int remote_fetch(struct remote *c, const char *path, struct str *ret)
{
    long status = 0;
    CURLcode code = c->curl == NULL ? CURLE_FAILED_INIT : perform(c, "GET", path, NULL);

    if (code != CURLE_OK) {
        unreachable(c, code, NULL);
    } else {
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
        *ret = strbuf_str(&c->answer);
        if (status >= 200 && status < 300)
            return CLI_OK;
        json_t *answer = json_loadb(ret->ptr, ret->len, JSON_DECODE_ANY, NULL);
        problem(c, status, answer, NULL);
        json_decref(answer);
    }
    remote_print_failure(c);
    return CLI_FAILED;
}

char *remote_rollout_path(const char *name, const char *suffix)
{
    struct strbuf path;

    strbuf_init(&path, URL_BYTES_MAX);
    strbuf_add(&path, STR("/v1/rollouts/"));
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char ch = (unsigned char)*p;
        bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' || (ch == '.' && p != name);
        if (plain)
            strbuf_add_char(&path, *p);
        else
            strbuf_addf(&path, "%%%02X", ch);
    }
    strbuf_add(&path, str_from(suffix));
    return strbuf_steal(&path);
}
