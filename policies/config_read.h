/* policies/config_read.h — what the parts of the configuration's reader share. Internal to
 * policies/. */
#ifndef POLICIES_CONFIG_READ_H
#define POLICIES_CONFIG_READ_H

#include "base/arena.h"
#include "base/error.h"
#include "policies/config.h"
#include "policies/yaml.h"

struct config_reader {
    struct config *config;
    struct diagnostics *errors;
    struct arena *scratch; /* until it is read */
    const char *path;      /* for errors: they outlive the configuration */
    bool cut;              /* the document broke off: nothing is said about what is missing */
};

/* Each reads its keys (`root` NULL: none is written) and adds what is wrong with them. */
void config_read_listen(struct config_reader *, struct yaml_node *root);
void config_read_admin(struct config_reader *, struct yaml_node *root); /* after listen */
void config_read_proxy(struct config_reader *, struct yaml_node *root);
/* `tls` of one listener; NULL when it is not there or bad. */
const struct config_tls *config_read_tls(struct config_reader *, struct yaml_node *);

#endif
