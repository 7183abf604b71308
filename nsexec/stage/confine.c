// SPDX-License-Identifier: Apache-2.0
/*
 * A filter for the processes that stay beside the program. They were forked before the program's own
 * filter was loaded: whoever may trace them (CAP_SYS_PTRACE) could have them make calls that it
 * denies. They execute nothing any more, so that no_new_privs, which a filter needs, changes nothing.
 */
#include "stage.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define NATIVE_ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH AUDIT_ARCH_PPC64LE
#else
#error "the audit number of this architecture (linux/audit.h)"
#endif

static const uint32_t allowed[] = {
	SYS_read, SYS_write,      SYS_ppoll,        SYS_wait4,           SYS_waitid,
	SYS_kill, SYS_exit_group, SYS_rt_sigreturn, SYS_restart_syscall,
#ifdef SYS_poll
	SYS_poll,
#endif
};

enum {
	NAMES = ARRAY_SIZE(allowed),
	LOW_WORD = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0,
};

#define LOAD(field, at) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + (at))
#define IF_EQUAL(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

int confine(void)
{
	struct sock_filter head[] = {
		LOAD(arch, 0),
		IF_EQUAL(NATIVE_ARCH, 1, 0),
		ANSWER(SECCOMP_RET_ERRNO | EPERM),
		LOAD(nr, 0),
	};
	struct sock_filter tail[] = {
		IF_EQUAL(SYS_prctl, 0, 2),   LOAD(args[0], LOW_WORD),
		IF_EQUAL(PR_SET_NAME, 1, 0), ANSWER(SECCOMP_RET_ERRNO | EPERM),
		ANSWER(SECCOMP_RET_ALLOW),
	};
	struct sock_filter code[ARRAY_SIZE(head) + NAMES + ARRAY_SIZE(tail)];
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	memcpy(code, head, sizeof(head));
	for (size_t i = 0; i < NAMES; i++) /* to the last instruction */
		code[ARRAY_SIZE(head) + i] = (struct sock_filter)IF_EQUAL(
			allowed[i], (uint8_t)(NAMES - i + ARRAY_SIZE(tail) - 2), 0);
	memcpy(code + ARRAY_SIZE(head) + NAMES, tail, sizeof(tail));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	long r = sys_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
	return r == -ENOSYS || r == -EINVAL ?
		       0 :
		       (int)r; /* a kernel without filters has none to get round */
}
