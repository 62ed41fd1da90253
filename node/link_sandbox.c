#include "node/link_sandbox.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef ILEA_SANITIZED
#include <errno.h>
#include <linux/sched.h>
#include <malloc.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

enum { FILES_MAX = 4096 };

/* Lower both limits of a resource to `max`; never raise one. */
static enum ilea_error
limit(__rlimit_resource_t resource, rlim_t max)
{
    struct rlimit now;
    if (getrlimit(resource, &now) != 0) return ILEA_ERROR_PERMISSION;
    if (now.rlim_max < max) max = now.rlim_max;
    struct rlimit lowered = { .rlim_cur = max, .rlim_max = max };
    return setrlimit(resource, &lowered) == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_PERMISSION;
}

#ifdef ILEA_SANITIZED

static enum ilea_error
restrict_memory_and_calls(void)
{
    return ILEA_ERROR_NONE;
}

#else

static const rlim_t memory_bytes_max = 256 * 1024 * 1024;

/* Needed with any arguments. Grouped by who asks. */
static const int calls[] = {
    /* the sockets of our links */
    SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(close), SCMP_SYS(connect), SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen), SCMP_SYS(read),
    SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
    SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(fcntl),
    /* the loops */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(eventfd2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    /* threads: libzmq aborts if it may not set their scheduling, even to what it is */
    SCMP_SYS(futex), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(gettid), SCMP_SYS(getpid),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* memory and randomness */
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(mlock),
    SCMP_SYS(munlock), SCMP_SYS(getrandom),
    /* stdio, for the one line on stderr */
    SCMP_SYS(newfstatat), SCMP_SYS(fstat),
};

/* Needed, but only where (argument & mask) == value. 0, or a negative error. */
static int
allow_partly(scmp_filter_ctx filter)
{
    static const uint64_t all = UINT64_MAX;
    const struct {
        int call;
        unsigned argument;
        uint64_t mask, value;
    } rules[] = {
        { SCMP_SYS(socket), 0, all, AF_INET },
        { SCMP_SYS(socket), 0, all, AF_INET6 },
        { SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
        { SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
        { SCMP_SYS(prctl), 0, all, PR_SET_NAME },
        /* threads, not processes */
        { SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD },
        /* reading a limit, not setting one */
        { SCMP_SYS(prlimit64), 2, all, 0 },
        /* our own abort() */
        { SCMP_SYS(tgkill), 0, all, (uint64_t)getpid() },
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct scmp_arg_cmp where = { .arg = rules[i].argument,
                                      .op = SCMP_CMP_MASKED_EQ,
                                      .datum_a = rules[i].mask,
                                      .datum_b = rules[i].value };
        int added = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, 1, &where);
        if (added != 0) return added;
    }
    /* The lobby's thread lets others go first: of itself (0) it may say so, of other processes not. */
    const struct scmp_arg_cmp itself[] = { { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = PRIO_PROCESS },
                                           { .arg = 1, .op = SCMP_CMP_EQ, .datum_a = 0 } };
    int rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(setpriority), 2, itself);
    if (rc != 0) return rc;
    /* Its arguments lie in memory, where no filter looks: with this answer glibc uses clone. */
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static enum ilea_error
restrict_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) return ILEA_ERROR_PERMISSION;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof calls / sizeof calls[0]; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    if (rc == 0) rc = allow_partly(filter);
    if (rc == 0) rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc == 0 ? ILEA_ERROR_NONE : ILEA_ERROR_PERMISSION;
}

static enum ilea_error
restrict_memory_and_calls(void)
{
    /* Every further arena of malloc reserves 64 MiB of addresses, which count. */
    if (mallopt(M_ARENA_MAX, 1) != 1) return ILEA_ERROR_PERMISSION;
    enum ilea_error error = limit(RLIMIT_AS, memory_bytes_max);
    if (error != ILEA_ERROR_NONE) return error;
    return restrict_calls();
}

#endif

enum ilea_error
ilea_link_sandbox_enter(void)
{
    /* No PR_SET_PDEATHSIG: it fires when the *thread* that started us ends. The end of the
     * socketpair says the same about the process. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ILEA_ERROR_PERMISSION;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ILEA_ERROR_PERMISSION;
    enum ilea_error error = limit(RLIMIT_CORE, 0);
    if (error != ILEA_ERROR_NONE) return error;
    error = limit(RLIMIT_NOFILE, FILES_MAX);
    if (error != ILEA_ERROR_NONE) return error;
    return restrict_memory_and_calls();
}
