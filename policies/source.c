/* Reads files. Bounded in size and number; only regular files (and what /dev names, for `check
 * /dev/stdin`), so that a pipe in a folder cannot hang a reload. */
#include "policies/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "policies/yaml_text.h"

void source_files_deinit(struct source_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free((char *)(uintptr_t)files->items[i].path);
        free((char *)(uintptr_t)files->items[i].text.ptr);
    }
    free(files->items);
    *files = (struct source_files){0};
}

static const struct source_file *find(const struct source_files *files, const char *path)
{
    for (size_t i = 0; path != NULL && i < files->count; i++)
        if (strcmp(files->items[i].path, path) == 0)
            return &files->items[i];
    return NULL;
}

struct str source_files_text(const struct source_files *files, const char *path)
{
    const struct source_file *f = find(files, path);

    return f == NULL ? (struct str){NULL, 0} : yaml_text_strip_mark(f->text);
}

/* Keeps a path; its text follows. */
static const char *keep_path(struct source_files *files, const char *path)
{
    const struct source_file *known = find(files, path);

    if (known != NULL)
        return known->path;
    files->items = xrealloc(files->items, (files->count + 1) * sizeof(*files->items));
    files->items[files->count] = (struct source_file){.path = xstrdup(path)};
    return files->items[files->count++].path;
}

static struct str keep_text(struct source_files *files, const char *path, struct strbuf *text)
{
    struct source_file *f = (struct source_file *)(uintptr_t)find(files, path);
    size_t len = text->len;

    free((char *)(uintptr_t)f->text.ptr);
    f->text = (struct str){strbuf_steal(text), len};
    return f->text;
}

void source_loader_init(struct source_loader *l, struct source_files *files, source_text_fn *fn,
                        void *arg, struct diagnostics *errors)
{
    *files = (struct source_files){0};
    *l = (struct source_loader){.files = files, .fn = fn, .arg = arg, .errors = errors};
}

void source_loader_deinit(struct source_loader *l)
{
    free(l->seen);
    l->seen = NULL;
}

const char *source_loader_path(const struct source_loader *l, const char *path)
{
    const struct source_file *f = find(l->files, path);

    return f == NULL ? NULL : f->path;
}

static const char *reason_hint(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "name a policy or configuration file, or a folder of *.yaml files";
    case EACCES:
    case EPERM:
        return "make it readable for the user that runs sluice";
    default:
        return NULL;
    }
}

static void report(struct source_loader *l, const char *path, struct source_pos asked, int error)
{
    if (asked.file != NULL)
        diagnostics_addf(l->errors, asked, reason_hint(error), "cannot read %s: %s", path,
                         strerror(error));
    else
        diagnostics_addf(l->errors, (struct source_pos){keep_path(l->files, path), 0, 0},
                         reason_hint(error), "cannot read: %s", strerror(error));
}

/* Notes the file; false when it was read already. */
static bool is_first_visit(struct source_loader *l, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return true;
    for (size_t i = 0; i < l->seen_count; i++)
        if (l->seen[i].device == st->st_dev && l->seen[i].inode == st->st_ino)
            return false;
    l->seen = xrealloc(l->seen, (l->seen_count + 1) * sizeof(*l->seen));
    l->seen[l->seen_count++] = (struct source_id){st->st_dev, st->st_ino};
    return true;
}

/* 0 or an errno. One byte more than allowed is read, so that "too large" is seen. */
static int read_all(int fd, struct strbuf *text)
{
    char buffer[16384];

    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0 || !strbuf_add(text, (struct str){buffer, (size_t)n}))
            return 0;
    }
}

static void load_file(struct source_loader *l, int fd, const struct stat *st, const char *path,
                      struct source_pos asked)
{
    struct strbuf text;

    if (!is_first_visit(l, st))
        return;
    strbuf_init(&text, POLICY_FILE_BYTES_MAX);
    const char *kept = keep_path(l->files, path);
    int error = read_all(fd, &text);
    if (error != 0)
        report(l, path, asked, error);
    else if (text.overflow)
        diagnostics_addf(l->errors, (struct source_pos){kept, 1, 1}, "split it into several files",
                         "the file is larger than 1MiB");
    else
        l->fn(l->arg, kept, keep_text(l->files, kept, &text));
    strbuf_deinit(&text);
}

static bool is_policy_name(const char *name)
{
    struct str s = str_from(name);

    return name[0] != '.' && (str_ends_with(s, STR(".yaml")) || str_ends_with(s, STR(".yml")));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int list_folder(DIR *dir, char ***ret_names, size_t *ret_count)
{
    char **names = NULL;
    size_t count = 0;
    const struct dirent *entry;

    while ((errno = 0, entry = readdir(dir)) != NULL) {
        if (!is_policy_name(entry->d_name))
            continue;
        if (count == FOLDER_FILES_MAX) {
            errno = EFBIG;
            break;
        }
        names = xrealloc(names, (count + 1) * sizeof(*names));
        names[count++] = xstrdup(entry->d_name);
    }
    if (errno != 0) {
        int error = errno;
        free_names(names, count);
        return error;
    }
    if (count > 0)
        qsort(names, count, sizeof(*names), compare_names);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

static void load_path(struct source_loader *l, const char *path, struct source_pos asked,
                      bool in_folder);

static void load_folder(struct source_loader *l, int fd, const char *path, struct source_pos asked)
{
    char **names = NULL;
    size_t count = 0;
    DIR *dir = fdopendir(fd);

    int error = dir == NULL ? errno : list_folder(dir, &names, &count);
    if (dir != NULL)
        closedir(dir);
    else
        close(fd);
    if (error != 0) {
        report(l, path, asked, error);
        return;
    }
    if (count == 0) {
        struct source_pos at = {keep_path(l->files, path), 0, 0};
        diagnostics_warnf(l->errors, at, "policies are files that end in .yaml or .yml",
                          "there is no policy in this folder");
    }
    for (size_t i = 0; i < count; i++) {
        struct strbuf full;
        strbuf_init(&full, SIZE_MAX / 2);
        strbuf_addf(&full, "%s%s%s", path, str_ends_with(str_from(path), STR("/")) ? "" : "/",
                    names[i]);
        load_path(l, strbuf_cstr(&full), (struct source_pos){0}, true);
        strbuf_deinit(&full);
    }
    free_names(names, count);
}

static void load_path(struct source_loader *l, const char *path, struct source_pos asked,
                      bool in_folder)
{
    bool device = str_starts_with(str_from(path), STR("/dev/"));
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (device ? 0 : O_NONBLOCK));

    if (fd < 0 || fstat(fd, &st) != 0) {
        report(l, path, asked, errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        if (!in_folder)
            load_folder(l, fd, path, asked); /* closes fd */
        else
            close(fd);
        return;
    }
    if (S_ISREG(st.st_mode) || (device && !in_folder))
        load_file(l, fd, &st, path, asked);
    else
        diagnostics_addf(l->errors, (struct source_pos){keep_path(l->files, path), 0, 0},
                         "policies and configurations are plain files", "is not a regular file");
    close(fd);
}

void source_load(struct source_loader *l, const char *path, struct source_pos asked)
{
    load_path(l, path, asked, false);
}

int source_try(const char *path)
{
    struct stat st;
    int error = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0)
        error = errno;
    else if (S_ISDIR(st.st_mode))
        error = EISDIR;
    close(fd);
    return error;
}
