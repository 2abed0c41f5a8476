/* SPDX-License-Identifier: MIT
 *
 * Asks the CPU and the operating system what may be used. Everything here that is
 * particular to Linux or POSIX stays here.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif

#include "simd/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* ---- x86-64 ---- */

#if defined(__x86_64__)

struct cpuid {
    unsigned eax, ebx, ecx, edx;
};

/* What is asked for once, the highest leaves there are among it: under a hypervisor each
 * CPUID instruction is a trap of microseconds, more than planning a small model takes. */
struct leaves {
    unsigned basic, extended;
    struct cpuid maker, features; /* leaves 0 and 1 */
};

static struct cpuid ask_any(unsigned leaf, unsigned subleaf)
{
    struct cpuid r;
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

static struct leaves ask_leaves(void)
{
    const struct cpuid maker = ask_any(0, 0);
    return (struct leaves){maker.eax, ask_any(0x80000000u, 0).eax, maker, ask_any(1, 0)};
}

/* All zero where the CPU has no such leaf. */
static struct cpuid ask(const struct leaves *leaves, unsigned leaf, unsigned subleaf)
{
    const unsigned last = leaf & 0x80000000u ? leaves->extended : leaves->basic;
    return leaf <= last ? ask_any(leaf, subleaf) : (struct cpuid){0, 0, 0, 0};
}

/* Register files that the system saves when it switches threads (XCR0). */
static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static uint32_t detect_bits(const struct leaves *leaves)
{
    enum { FMA = 1u << 12, OSXSAVE = 1u << 27, AVX = 1u << 28 }; /* leaf 1, ecx */
    enum { AVX2 = 1u << 5, F = 1u << 16, DQ = 1u << 17, BW = 1u << 30 };
    const unsigned vl = 1u << 31;                     /* leaf 7, ebx */
    enum { XMM_YMM = 0x06, XMM_YMM_MASK_ZMM = 0xe6 }; /* XCR0 */

    const unsigned basic = leaves->features.ecx, extended = ask(leaves, 7, 0).ebx;
    const uint64_t state = basic & OSXSAVE ? saved_state() : 0;
    uint32_t bits = 0;
    bool avx2 = (basic & FMA) && (basic & AVX) && (extended & AVX2);
    if (avx2 && (state & XMM_YMM) == XMM_YMM)
        bits |= SIMD_CPU_AVX2;
    bool avx512 = avx2 && (extended & F) && (extended & DQ) && (extended & BW) && (extended & vl);
    if (avx512 && (state & XMM_YMM_MASK_ZMM) == XMM_YMM_MASK_ZMM)
        bits |= SIMD_CPU_AVX512;
    return bits;
}

/* Deterministic cache parameters: Intel has them in leaf 4, AMD in 0x8000001d,
 * where leaf 4 is empty. Both have the same fields. */
static void detect_caches(const struct leaves *leaves, struct simd_cpu *cpu)
{
    enum { DATA = 1, INSTRUCTIONS = 2 };
    const unsigned leaf = (ask(leaves, 4, 0).eax & 0x1f) ? 4 : 0x8000001du;
    for (unsigned i = 0; i < 16 && cpu->l3 == 0; i++) {
        struct cpuid r = ask(leaves, leaf, i);
        unsigned type = r.eax & 0x1f, level = r.eax >> 5 & 7;
        if (type < DATA)
            return;
        if (type == INSTRUCTIONS)
            continue;
        size_t line = (r.ebx & 0xfff) + 1, partitions = (r.ebx >> 12 & 0x3ff) + 1;
        size_t ways = (r.ebx >> 22) + 1, sets = (size_t)r.ecx + 1;
        size_t bytes = line * partitions * ways * sets;
        if (level == 1)
            cpu->l1d = bytes;
        else if (level == 2)
            cpu->l2 = bytes;
        else if (level == 3)
            cpu->l3 = bytes;
    }
}

/* Speed that no feature bit tells. AMD's cores since Zen (family 17h) have an L3 for each few cores;
 * the first ones with AVX-512 (Zen 4, family 19h) compute its registers in halves. */
static void detect_speed(const struct leaves *leaves, struct simd_cpu *cpu)
{
    const struct cpuid *maker = &leaves->maker;
    const unsigned eax = leaves->features.eax, base = eax >> 8 & 0xf;
    const unsigned family = base + (base == 0xf ? eax >> 20 & 0xff : 0);
    char name[13] = "";
    memcpy(name, &maker->ebx, 4);
    memcpy(name + 4, &maker->edx, 4);
    memcpy(name + 8, &maker->ecx, 4);
    const bool amd = strcmp(name, "AuthenticAMD") == 0;
    cpu->near_l3 = amd && family >= 0x17;
    cpu->split_zmm = amd && family == 0x19;
}

static void detect_name(const struct leaves *leaves, struct simd_cpu *cpu)
{
    char brand[49] = "";
    for (unsigned i = 0; i < 3; i++) {
        struct cpuid r = ask(leaves, 0x80000002u + i, 0);
        memcpy(brand + 16 * i, &r, sizeof r);
    }
    const char *text = brand + strspn(brand, " ");
    snprintf(cpu->name, sizeof cpu->name, "%s", *text ? text : "x86-64");
}

static void detect(struct simd_cpu *cpu)
{
    const struct leaves leaves = ask_leaves();
    cpu->bits = detect_bits(&leaves);
    detect_caches(&leaves, cpu);
    detect_speed(&leaves, cpu);
    detect_name(&leaves, cpu);
}

/* ---- aarch64 ---- */

#elif defined(__aarch64__)

static uint32_t detect_bits(void)
{
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & HWCAP_ASIMD) ? SIMD_CPU_NEON : 0;
#else
    return SIMD_CPU_NEON; /* part of the base architecture */
#endif
}

/* ---- others ---- */

#else

static uint32_t detect_bits(void)
{
    return 0;
}

#endif

#if !defined(__x86_64__)

static size_t cache_size(int name)
{
    long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : 0;
}

static void detect_caches(struct simd_cpu *cpu)
{
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    cpu->l1d = cache_size(_SC_LEVEL1_DCACHE_SIZE);
    cpu->l2 = cache_size(_SC_LEVEL2_CACHE_SIZE);
    cpu->l3 = cache_size(_SC_LEVEL3_CACHE_SIZE);
#else
    (void)cpu;
#endif
}

static void detect_name(struct simd_cpu *cpu)
{
#if defined(__aarch64__)
    snprintf(cpu->name, sizeof cpu->name, "aarch64");
#else
    snprintf(cpu->name, sizeof cpu->name, "generic");
#endif
}

static void detect(struct simd_cpu *cpu)
{
    cpu->bits = detect_bits();
    detect_caches(cpu);
    detect_name(cpu);
}

#endif

/* ---- common ---- */

static uint32_t detect_cores(void)
{
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

struct simd_cpu simd_cpu_detect(void)
{
    struct simd_cpu cpu;
    memset(&cpu, 0, sizeof cpu);
    cpu.cores = detect_cores();
    detect(&cpu);

    /* What a common core has, where nobody would say. No L3 is a fact on some. */
    if (cpu.l1d == 0)
        cpu.l1d = 32 << 10;
    if (cpu.l2 == 0)
        cpu.l2 = 512 << 10;
    return cpu;
}

void simd_cpu_bits_text(uint32_t bits, char *text, size_t n_bytes)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {SIMD_CPU_AVX2, "avx2"}, {SIMD_CPU_AVX512, "avx512"}, {SIMD_CPU_NEON, "neon"}};

    size_t used = 0;
    if (n_bytes > 0)
        text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(bits & names[i].bit) || used >= n_bytes)
            continue;
        int n = snprintf(text + used, n_bytes - used, "%s%s", used ? " " : "", names[i].name);
        used += (size_t)n;
    }
}
