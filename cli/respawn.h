/* cli/respawn.h — how this process was started, so that it can be started again: the upgrade.
 *
 * The path is made absolute when the process starts but its links are not followed: who points
 * /opt/sluice/current elsewhere means the next start to take that.
 */
#ifndef CLI_RESPAWN_H
#define CLI_RESPAWN_H

/* First thing in main. Borrows argv, which lives as long as the process. */
void respawn_remember(char **argv);
/* NULL: it cannot be told. */
const char *respawn_path(void);
char **respawn_args(void);
/* This process's environment without what was meant for it alone (LISTEN_…, WATCHDOG_PID), and with
 * `extra` ("NAME=value"). Heap; respawn_env_free. */
char **respawn_env(const char *extra);
void respawn_env_free(char **);

#endif
