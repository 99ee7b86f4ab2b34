/* cli/screen.h — cuts a page of text to a terminal. Pure. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stddef.h>

#include "base/strbuf.h"

/* Appends as much of `page` as `rows` lines of `columns` take, lines ended by '\n', from the top: a
 * page begins with what matters most. A line that is longer ends in '…'; lines that are left out
 * are counted in the last one. Colours (CSI sequences) take no room and end with their line; a wide
 * character takes two columns, a combining one none.
 *
 * @param columns, rows  taken as 1 when 0 */
void screen_clip(struct str page, size_t columns, size_t rows, struct strbuf *out);

/* Appends `page` with the line `notice` after its first `after` lines (at the end when it has
 * fewer). The notice ends without '\n'. */
void screen_insert(struct str page, size_t after, struct str notice, struct strbuf *out);

#endif
