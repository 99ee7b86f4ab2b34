/* admin/server.h — the admin API's server: listens, keeps foreign pages out, routes.
 *
 * On the control thread's loop; nothing here blocks.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include <uv.h>

#include <stdint.h>

#include "admin/ports.h"
#include "base/error.h"

struct admin;

/* Listens on a loopback address (`host` numeric; port 0 = any): anything wider is -EPERM, since
 * there is nobody who could be told apart. The ports struct is copied; what it points to outlives
 * the server. */
int admin_start(uv_loop_t *, const char *host, uint16_t port, const struct admin_ports *,
                struct admin **ret, struct error *reterr);
/* The same on a socket that listens already (taken over unless it fails): inherited from the
 * process before, or systemd's. */
int admin_adopt(uv_loop_t *, int fd, const struct admin_ports *, struct admin **ret,
                struct error *reterr);
/* The listening descriptor; the server's. -1 once it drains. */
int admin_descriptor(const struct admin *);
uint16_t admin_port(const struct admin *);
/* Sends new events to those who wait for them: after each tick of the controller. */
void admin_pump(struct admin *);
/* Ends event streams and stops listening; a connection that is open may have one more answer. */
void admin_drain(struct admin *);
size_t admin_connections(const struct admin *);
/* Ends event streams, stops listening; freed when the loop has closed the last handle. */
void admin_close(struct admin *);

#endif
