/* SPDX-License-Identifier: MIT
 *
 * Gives a fuzz target a main() where there is no libFuzzer (gcc): each file named as an argument, and each
 * file of a folder named, is passed to the target once. For replaying seeds and findings.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) != 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size ? size : 1);
    int bad = !bytes || fread(bytes, 1, size, file) != size;
    if (bad)
        fprintf(stderr, "%s: cannot be read\n", path);
    else
        LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    fclose(file);
    return bad;
}

static int replay(const char *path, long *files)
{
    DIR *folder = opendir(path);
    if (!folder) {
        ++*files;
        return replay_file(path);
    }
    int bad = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        bad |= replay(inner, files);
    }
    closedir(folder);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = 0;
    long files = 0;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-') /* libFuzzer's options mean nothing here */
            bad |= replay(argv[i], &files);
    fprintf(stderr, "%ld files replayed\n", files);
    return bad;
}
