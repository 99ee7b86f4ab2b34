/* Two panels over one axis of time. A history can have more points than there are pixels: of those
 * in one pixel's width the lowest and the highest evidence are kept, so that no peak is lost.
 */
#include "controller/sim_svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/units.h"

enum {
    WIDTH = 960,
    LEFT = 64,
    RIGHT = 20,
    WEIGHT_TOP = 56,
    WEIGHT_BOTTOM = 216,
    EVIDENCE_TOP = 262,
    EVIDENCE_BOTTOM = 462,
    HEIGHT = 532,
    MARKS_MAX = 200, /* events that are drawn */
};

#define LEAST_E (-8.0) /* nats; below it evidence says nothing but "none" */

void sim_history_init(struct sim_history *h)
{
    memset(h, 0, sizeof(*h));
}

void sim_history_deinit(struct sim_history *h)
{
    free(h->points);
    memset(h, 0, sizeof(*h));
}

void sim_history_add(void *history, const struct sim_point *point)
{
    struct sim_history *h = history;

    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? 1024 : 2 * h->capacity;
        h->points = xrealloc(h->points, h->capacity * sizeof(*h->points));
    }
    h->points[h->count++] = *point;
}

/* --- scales ----------------------------------------------------------------------------------- */

struct scale {
    double seconds; /* of the whole axis */
    double most_e;  /* nats at the top */
    double threshold, wide_threshold;
};

static double x_of(const struct scale *s, int64_t ns)
{
    return LEFT + (double)ns / 1e9 / s->seconds * (WIDTH - LEFT - RIGHT);
}

static double weight_y(uint32_t weight_bp)
{
    return WEIGHT_BOTTOM - weight_bp / (double)WEIGHT_FULL_BP * (WEIGHT_BOTTOM - WEIGHT_TOP);
}

static double evidence_y(const struct scale *s, double log_e)
{
    double within = fmin(fmax(log_e, LEAST_E), s->most_e);

    return EVIDENCE_BOTTOM -
           (within - LEAST_E) / (s->most_e - LEAST_E) * (EVIDENCE_BOTTOM - EVIDENCE_TOP);
}

static void scale_of(const struct sim_history *h, struct scale *ret)
{
    double most = 0;

    *ret = (struct scale){.seconds = 60};
    for (size_t i = 0; i < h->count; i++) {
        const struct sim_point *p = &h->points[i];
        ret->seconds = fmax(ret->seconds, (double)p->ns / 1e9);
        ret->threshold = fmax(ret->threshold, p->threshold);
        if (p->wide_log_e > -1e8)
            ret->wide_threshold = fmax(ret->wide_threshold, p->wide_threshold);
        most = fmax(most, fmax(p->log_e, p->wide_log_e));
    }
    double line = fmax(fmax(ret->threshold, ret->wide_threshold), 1);
    ret->most_e = fmin(fmax(most, 1.3 * line), 2.5 * line);
}

/* --- lines ------------------------------------------------------------------------------------ */

static void draw_weight(const struct sim_history *h, const struct scale *s, struct strbuf *out)
{
    uint32_t weight_bp = 0;

    strbuf_addf(out, "<path fill=\"#2166ac\" fill-opacity=\"0.25\" stroke=\"#2166ac\" d=\"M%d %d",
                LEFT, WEIGHT_BOTTOM);
    for (size_t i = 0; i < h->count; i++) {
        const struct sim_point *p = &h->points[i];
        if (p->weight_bp == weight_bp)
            continue;
        strbuf_addf(out, "H%.1fV%.1f", x_of(s, p->ns), weight_y(p->weight_bp));
        weight_bp = p->weight_bp;
    }
    if (h->count > 0)
        strbuf_addf(out, "H%.1fV%d", x_of(s, h->points[h->count - 1].ns), WEIGHT_BOTTOM);
    strbuf_add(out, STR("Z\"/>\n"));
}

static double evidence_of(const struct sim_point *p, bool wide)
{
    return wide ? p->wide_log_e : p->log_e;
}

static void draw_evidence(const struct sim_history *h, const struct scale *s, bool wide,
                          const char *colour, struct strbuf *out)
{
    bool first = true;

    strbuf_addf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.2\" d=\"", colour);
    for (size_t i = 0; i < h->count;) {
        double x = floor(x_of(s, h->points[i].ns)), low = INFINITY, high = -INFINITY;
        for (; i < h->count && floor(x_of(s, h->points[i].ns)) <= x; i++) {
            low = fmin(low, evidence_of(&h->points[i], wide));
            high = fmax(high, evidence_of(&h->points[i], wide));
        }
        strbuf_addf(out, "%s%.0f %.1f", first ? "M" : "L", x, evidence_y(s, low));
        if (high > low)
            strbuf_addf(out, "V%.1f", evidence_y(s, high));
        first = false;
    }
    strbuf_add(out, STR("\"/>\n"));
}

static void draw_threshold(const struct scale *s, double at, const char *colour, const char *text,
                           double text_dy, struct strbuf *out)
{
    double y = evidence_y(s, at);

    strbuf_addf(out,
                "<path stroke=\"%s\" stroke-dasharray=\"5 4\" d=\"M%d %.1fH%d\"/>\n"
                "<text x=\"%d\" y=\"%.1f\" fill=\"%s\" text-anchor=\"end\">%s</text>\n",
                colour, LEFT, y, WIDTH - RIGHT, WIDTH - RIGHT - 4, y + text_dy, colour, text);
}

/* --- events ----------------------------------------------------------------------------------- */

static const char *colour_of(enum rollout_event e)
{
    if (e == EVENT_ROLLED_BACK || e == EVENT_RETREATED)
        return "#b2182b";
    if (e == EVENT_PROMOTED || e == EVENT_CLEARED || e == EVENT_STEP_ADVANCED)
        return "#1b7837";
    return "#777777";
}

static void draw_events(const struct sim_history *h, const struct scale *s, struct strbuf *out)
{
    double last = -1e9;
    int row = 0, drawn = 0;

    for (size_t i = 0; i < h->count && drawn < MARKS_MAX; i++) {
        const struct sim_point *p = &h->points[i];
        if (p->event == EVENT_NONE || p->event == EVENT_PENDING)
            continue;
        double x = x_of(s, p->ns);
        const char *name = event_names[p->event], *dot = strchr(name, '.');
        row = x - last < 90 ? (row + 1) % 4 : 0;
        last = x;
        bool late = x > WIDTH - 120;
        strbuf_addf(out,
                    "<path stroke=\"%s\" stroke-opacity=\"0.6\" d=\"M%.1f %dV%d\"/>"
                    "<text x=\"%.1f\" y=\"%d\" fill=\"%s\" text-anchor=\"%s\">%s</text>\n",
                    colour_of(p->event), x, WEIGHT_TOP, EVIDENCE_BOTTOM, late ? x - 3 : x + 3,
                    WEIGHT_TOP + 10 + row * 12, colour_of(p->event), late ? "end" : "start",
                    dot == NULL ? name : dot + 1);
        drawn++;
    }
}

/* --- axes ------------------------------------------------------------------------------------- */

static void draw_time_axis(const struct scale *s, struct strbuf *out)
{
    static const int64_t steps_s[] = {5,   10,   15,   30,   60,    120,   300,
                                      600, 1800, 3600, 7200, 21600, 43200, 86400};
    size_t pick = 0;
    char text[UNITS_TEXT_MAX];

    while (pick + 1 < sizeof(steps_s) / sizeof(steps_s[0]) &&
           s->seconds / (double)steps_s[pick] > 10)
        pick++;
    for (int64_t at = 0; (double)at <= s->seconds; at += steps_s[pick]) {
        double x = x_of(s, at * NS_PER_SEC);
        units_duration_text(at * NS_PER_SEC, text);
        strbuf_addf(out,
                    "<path stroke=\"#dddddd\" d=\"M%.1f %dV%dM%.1f %dV%d\"/>"
                    "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                    x, WEIGHT_TOP, WEIGHT_BOTTOM, x, EVIDENCE_TOP, EVIDENCE_BOTTOM, x,
                    EVIDENCE_BOTTOM + 18, text);
    }
}

static void draw_axes(const struct scale *s, struct strbuf *out)
{
    for (uint32_t bp = 0; bp <= WEIGHT_FULL_BP; bp += WEIGHT_FULL_BP / 4)
        strbuf_addf(out,
                    "<path stroke=\"#dddddd\" d=\"M%d %.1fH%d\"/>"
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%u%%</text>\n",
                    LEFT, weight_y(bp), WIDTH - RIGHT, LEFT - 6, weight_y(bp) + 4, bp / 100);
    for (int nats = -8; nats <= s->most_e; nats += 4)
        strbuf_addf(out,
                    "<path stroke=\"#dddddd\" d=\"M%d %.1fH%d\"/>"
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n",
                    LEFT, evidence_y(s, nats), WIDTH - RIGHT, LEFT - 6, evidence_y(s, nats) + 4,
                    nats);
    draw_time_axis(s, out);
    strbuf_addf(out,
                "<text x=\"%d\" y=\"%d\">weight of the canary</text>\n"
                "<text x=\"%d\" y=\"%d\">evidence against the canary (natural log of the e-value; "
                "none below %.0f)</text>\n",
                LEFT, WEIGHT_TOP - 8, LEFT, EVIDENCE_TOP - 8, LEAST_E);
}

static void add_escaped(struct strbuf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        switch (s.ptr[i]) {
        case '<':
            strbuf_add(out, STR("&lt;"));
            break;
        case '>':
            strbuf_add(out, STR("&gt;"));
            break;
        case '&':
            strbuf_add(out, STR("&amp;"));
            break;
        default:
            strbuf_add_char(out, s.ptr[i] >= ' ' || s.ptr[i] < 0 ? s.ptr[i] : '?');
            break;
        }
}

void sim_svg(const struct sim_history *h, struct str title, struct strbuf *out)
{
    struct scale s;

    scale_of(h, &s);
    strbuf_addf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\" "
                "fill=\"#333333\">\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n<title>",
                WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    add_escaped(out, title);
    strbuf_addf(out, "</title>\n<text x=\"%d\" y=\"24\" font-size=\"15\">", LEFT);
    add_escaped(out, title);
    strbuf_add(out, STR("</text>\n"));
    draw_axes(&s, out);
    draw_weight(h, &s, out);
    /* Two lines close to each other: one text above the upper, one below the lower. */
    draw_threshold(&s, s.threshold, "#b2182b", "sent back",
                   s.wide_threshold > 0 && s.wide_threshold >= s.threshold ? 12 : -4, out);
    draw_evidence(h, &s, false, "#b2182b", out);
    if (s.wide_threshold > 0) {
        draw_threshold(&s, s.wide_threshold, "#762a83", "condemned by the wide test", -4, out);
        draw_evidence(h, &s, true, "#762a83", out);
    }
    draw_events(h, &s, out);
    strbuf_addf(out,
                "<text x=\"%d\" y=\"%d\">red: the fast test, which sends the canary back%s</text>\n"
                "</svg>\n",
                LEFT, HEIGHT - 16,
                s.wide_threshold > 0 ? "; violet: the wide test, which condemns it" : "");
}
