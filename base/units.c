/* Durations, sizes, shares. Numbers are read by hand: strtod follows the locale. */
#include "base/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"

struct unit {
    const char *name;
    double scale;
};

static const struct unit durations[] = {{"d", 86400e9}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9},
                                        {"ms", 1e6},    {"us", 1e3},   {"ns", 1}};
static const struct unit sizes[] = {{"", 1},     {"B", 1},           {"KiB", 1024},
                                    {"KB", 1e3}, {"MiB", 1048576},   {"MB", 1e6},
                                    {"GB", 1e9}, {"GiB", 1073741824}};

/* Digits with an optional fraction; advances *s. At most 18 digits, so that doubles stay exact
 * enough. False when there is no digit. */
static bool take_number(struct str *s, double *ret)
{
    double value = 0, scale = 1;
    size_t i = 0, digits = 0;
    bool fraction = false;

    for (; i < s->len; i++) {
        char c = s->ptr[i];
        if (c == '.' && !fraction && digits > 0) {
            fraction = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (++digits > 18)
            return false;
        value = value * 10 + (c - '0');
        if (fraction)
            scale *= 10;
    }
    if (digits == 0 || (i > 0 && s->ptr[i - 1] == '.'))
        return false;
    *ret = value / scale;
    *s = (struct str){s->ptr + i, s->len - i};
    return true;
}

static struct str take_letters(struct str *s)
{
    size_t i = 0;

    while (i < s->len &&
           ((s->ptr[i] >= 'a' && s->ptr[i] <= 'z') || (s->ptr[i] >= 'A' && s->ptr[i] <= 'Z')))
        i++;
    struct str letters = {s->ptr, i};
    *s = (struct str){s->ptr + i, s->len - i};
    return letters;
}

bool units_parse_duration(struct str s, int64_t *ret_ns)
{
    double total = 0;
    size_t next = 0; /* units must go down: "1m30s", not "30s1m" */

    if (str_eq(s, STR("0"))) {
        *ret_ns = 0;
        return true;
    }
    if (s.len == 0)
        return false;
    while (s.len > 0) {
        double value;
        if (!take_number(&s, &value))
            return false;
        struct str name = take_letters(&s);
        size_t i = next;
        while (i < ARRAY_LEN(durations) && !str_eq(name, str_from(durations[i].name)))
            i++;
        if (i == ARRAY_LEN(durations))
            return false;
        total += value * durations[i].scale;
        next = i + 1;
    }
    if (total > 9.2e18)
        return false;
    *ret_ns = (int64_t)llround(total);
    return true;
}

bool units_parse_size(struct str s, uint64_t *ret_bytes)
{
    double value;

    if (!take_number(&s, &value))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (!str_eq(s, str_from(sizes[i].name)))
            continue;
        double bytes = value * sizes[i].scale;
        if (bytes > 9e15 || bytes != floor(bytes))
            return false;
        *ret_bytes = (uint64_t)bytes;
        return true;
    }
    return false;
}

bool units_parse_share(struct str s, double *ret)
{
    double value;

    if (!take_number(&s, &value))
        return false;
    if (str_eq(s, STR("%")))
        value /= 100;
    else if (s.len != 0)
        return false;
    if (value > 1)
        return false;
    *ret = value;
    return true;
}

/* %.*f without trailing zeros. */
static int print_trimmed(char *to, size_t size, double value, int decimals)
{
    int n = snprintf(to, size, "%.*f", decimals, value);

    if (decimals > 0) {
        while (n > 0 && to[n - 1] == '0')
            to[--n] = '\0';
        if (n > 0 && to[n - 1] == '.')
            to[--n] = '\0';
    }
    return n;
}

char *units_duration_text(int64_t ns, char to[static UNITS_TEXT_MAX])
{
    const char *sign = ns < 0 ? "-" : "";
    uint64_t left = ns < 0 ? (uint64_t) - (ns + 1) + 1 : (uint64_t)ns;

    if (left < 999500000) { /* what would not round to 1s */
        const char *unit = left == 0 ? "s" : left < 1000 ? "ns" : left < 999500 ? "us" : "ms";
        double value = (double)left / (left < 1000 ? 1 : left < 999500 ? 1e3 : 1e6);
        char number[UNITS_TEXT_MAX];
        print_trimmed(number, sizeof(number), value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
        snprintf(to, UNITS_TEXT_MAX, "%s%.20s%s", sign, number, unit);
        return to;
    }
    uint64_t ms = (left + 500000) / 1000000;
    uint64_t d = ms / 86400000, h = ms / 3600000 % 24, m = ms / 60000 % 60;
    double s = (double)(ms % 60000) / 1000;
    int n = snprintf(to, UNITS_TEXT_MAX, "%s", sign);
    if (d > 0)
        n += snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "%" PRIu64 "d", d);
    if (h > 0)
        n += snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "%" PRIu64 "h", h);
    if (m > 0)
        n += snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "%" PRIu64 "m", m);
    if (s > 0 && n < UNITS_TEXT_MAX - 8) {
        n += print_trimmed(to + n, (size_t)(UNITS_TEXT_MAX - n), s, 3);
        snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "s");
    }
    return to;
}

char *units_size_text(uint64_t bytes, char to[static UNITS_TEXT_MAX])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_LEN(names)) {
        value /= 1024;
        unit++;
    }
    int n = print_trimmed(to, UNITS_TEXT_MAX, value, unit == 0 ? 0 : 1);
    snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "%s", names[unit]);
    return to;
}

char *units_share_text(double share, char to[static UNITS_TEXT_MAX])
{
    double percent = share * 100;
    int decimals = 0;

    if (percent != 0 && fabs(percent) < 1000) {
        decimals = 3 - (int)floor(log10(fabs(percent)));
        decimals = decimals < 0 ? 0 : decimals > 8 ? 8 : decimals;
    }
    int n = print_trimmed(to, UNITS_TEXT_MAX - 1, percent, decimals);
    snprintf(to + n, (size_t)(UNITS_TEXT_MAX - n), "%%");
    return to;
}
