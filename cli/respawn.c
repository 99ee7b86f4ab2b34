/* The path as the shell found it: through PATH when there is no slash in the name. */
#include "cli/respawn.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"

static char path[PATH_MAX];
static char **args;

static bool executable(const char *candidate)
{
    return access(candidate, X_OK) == 0;
}

/* False: too long, or not there. */
static bool take(const char *folder, size_t folder_len, const char *name)
{
    int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)folder_len, folder,
                     folder_len > 0 ? "/" : "", name);

    return n > 0 && (size_t)n < sizeof(path) && executable(path);
}

static bool absolute(const char *name)
{
    char folder[PATH_MAX];

    if (name[0] == '/')
        return take("", 0, name);
    return getcwd(folder, sizeof(folder)) != NULL && take(folder, strlen(folder), name);
}

static bool in_search_path(const char *name)
{
    for (const char *at = getenv("PATH"); at != NULL; at = strchr(at, ':')) {
        at += *at == ':';
        size_t len = strcspn(at, ":");
        if (at[0] == '/' && take(at, len, name))
            return true;
    }
    return false;
}

void respawn_remember(char **argv)
{
    const char *name = argv[0] == NULL ? "" : argv[0];

    args = argv;
    if (strchr(name, '/') != NULL ? absolute(name) : in_search_path(name))
        return;
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
}

const char *respawn_path(void)
{
    return path[0] == '\0' ? NULL : path;
}

char **respawn_args(void)
{
    return args;
}

static bool passed_on(const char *variable, const char *extra)
{
    static const char *const own[] = {
        "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID="};

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strncmp(variable, own[i], strlen(own[i])) == 0)
            return false;
    return strncmp(variable, extra, strcspn(extra, "=") + 1) != 0;
}

char **respawn_env(const char *extra)
{
    size_t count = 0, kept = 0;

    while (environ[count] != NULL)
        count++;
    char **env = xcalloc(count + 2, sizeof(*env));
    for (size_t i = 0; i < count; i++)
        if (passed_on(environ[i], extra))
            env[kept++] = xstrdup(environ[i]);
    env[kept] = xstrdup(extra);
    return env;
}

void respawn_env_free(char **env)
{
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        free(env[i]);
    free(env);
}
