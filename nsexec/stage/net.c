// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Interface requests go through any socket (netdevice(7)); AF_UNIX is always there. */
static int loopback_run(struct stage *s, const void *args)
{
	close_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = "lo" };

	(void)args;
	if (fd < 0)
		return stage_fail(s, errno, "lo", "socket");
	if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return stage_fail(s, errno, "lo", "SIOCGIFFLAGS");
	r.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return stage_fail(s, errno, "lo", "SIOCSIFFLAGS");
	return 0;
}

STEP_IMPL_BARE(loopback, loopback_run);
