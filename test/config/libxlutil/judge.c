/*
 * Asks Xen's own libxlutil what it makes of inputs. Read from standard input: a letter for the kind (c: a cfg
 * file, d: a disk spec, r: a rate, p: a PCI spec), the length in decimal, a newline, the bytes. Written for each:
 * one line of JSON, in which \u00XX stands for a byte. Each input has a process of its own, since the library
 * aborts on some.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <libxlutil.h>

/* The names that the generator of test files uses. */
static const char *const NAMES[] = { "a", "b", "memory", "x.y" };

static void put_text(const char *text)
{
    if (!text) {
        printf("null");
        return;
    }
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = *text;
        if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\')
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void put_value(const XLU_Config *config, XLU_ConfigValue *value)
{
    char *text;
    XLU_ConfigList *list;

    if (xlu_cfg_value_type(value) == XLU_STRING) {
        xlu_cfg_value_get_string(config, value, &text, 1);
        put_text(text);
        return;
    }
    xlu_cfg_value_get_list(config, value, &list, 1);
    putchar('[');
    for (int i = 0; (value = xlu_cfg_get_listitem2(list, i)); i++) {
        if (i)
            putchar(',');
        put_value(config, value);
    }
    putchar(']');
}

static int judge_cfg(XLU_Config *config, const char *data, int length)
{
    const char *between = "";

    if (xlu_cfg_readdata(config, data, length))
        return 0;
    printf("\"parsed\":{");
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const char *text;
        XLU_ConfigList *list;
        XLU_ConfigValue *value;
        long number;

        if (!xlu_cfg_get_string(config, NAMES[i], &text, 1)) {
            int error = xlu_cfg_get_long(config, NAMES[i], &number, 1);
            printf("%s\"%s\":[", between, NAMES[i]);
            put_text(text);
            if (error)
                printf(",null]");
            else
                printf(",\"%ld\"]", number);
        } else if (!xlu_cfg_get_list(config, NAMES[i], &list, NULL, 1)) {
            printf("%s\"%s\":[[", between, NAMES[i]);
            for (int j = 0; (value = xlu_cfg_get_listitem2(list, j)); j++) {
                if (j)
                    putchar(',');
                put_value(config, value);
            }
            printf("],null]");
        } else
            continue;
        between = ",";
    }
    printf("},");
    return 1;
}

static int judge_disk(XLU_Config *config, const char *spec)
{
    libxl_device_disk disk;
    const char *const specs[] = { spec };

    libxl_device_disk_init(&disk);
    if (xlu_disk_parse(config, 1, specs, &disk))
        return 0;
    printf("\"parsed\":[");
    put_text(disk.pdev_path);
    putchar(',');
    put_text(disk.vdev);
    putchar(',');
    put_text(disk.backend_domname);
    putchar(',');
    put_text(disk.script);
    printf(",\"%s\",\"%s\",%d,%d,%d,%d],", libxl_disk_format_to_string(disk.format),
           libxl_disk_backend_to_string(disk.backend), disk.readwrite, disk.removable, disk.is_cdrom,
           disk.direct_io_safe);
    return 1;
}

static int judge_rate(XLU_Config *config, const char *spec)
{
    libxl_device_nic nic;

    libxl_device_nic_init(&nic);
    if (xlu_vif_parse_rate(config, spec, &nic))
        return 0;
    printf("\"parsed\":[\"%llu\",%u],", (unsigned long long)nic.rate_bytes_per_interval, nic.rate_interval_usecs);
    return 1;
}

static int judge_pci(XLU_Config *config, const char *spec)
{
    libxl_device_pci pci;

    libxl_device_pci_init(&pci);
    if (xlu_pci_parse_spec_string(config, &pci, spec))
        return 0;
    printf("\"parsed\":[%d,%d,%d,%d,%u,%u,%d,%d,", pci.domain, pci.bus, pci.dev, pci.func, pci.vdevfn, pci.vfunc_mask,
           pci.permissive, pci.seize);
    put_text(pci.name);
    printf("],");
    return 1;
}

static void judge(char kind, const char *data, int length)
{
    char *report = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&report, &size);
    XLU_Config *config = xlu_cfg_init(file, "test.cfg");
    int ok;

    putchar('{');
    switch (kind) {
    case 'c': ok = judge_cfg(config, data, length); break;
    case 'd': ok = judge_disk(config, data); break;
    case 'r': ok = judge_rate(config, data); break;
    default:  ok = judge_pci(config, data); break;
    }
    fflush(file);
    printf("\"ok\":%s,\"report\":", ok ? "true" : "false");
    put_text(report);
    printf("}\n");
}

int main(void)
{
    char kind;
    int length;

    while (scanf(" %c %d", &kind, &length) == 2) {
        char *data = calloc(1, length + 1);
        int status;
        pid_t child;

        if (getchar() != '\n' || fread(data, 1, length, stdin) != (size_t)length)
            return 1;
        fflush(stdout);
        child = fork();
        if (child == 0) {
            /* What the library prints when it gives up is of no use, nor is half an answer. */
            char *answer = NULL;
            size_t size = 0;
            FILE *out = stdout;

            fclose(stderr);
            stdout = open_memstream(&answer, &size);
            judge(kind, data, length);
            fflush(stdout);
            fwrite(answer, 1, size, out);
            fflush(out);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            printf("null\n");
        free(data);
    }
    return 0;
}
