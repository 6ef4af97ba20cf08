#!/bin/sh
# Run by busybox' uevent for each event of the kernel: switches a CPU on that `xt vcpu-set` brought, as a rule of udev
# does on a larger system. (Linux switches CPUs off by itself.)
[ "$ACTION $SUBSYSTEM" = 'add cpu' ] && echo 1 >"/sys$DEVPATH/online"
