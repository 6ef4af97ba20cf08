#!/bin/busybox sh
# /init of the demo's initramfs: prepares a small system, then runs one command (xt.run= on the kernel command line,
# base64) and powers off, or hands over to busybox' init for a root shell on the Xen console.
echo 'xt: init started'
export PATH=/bin HOME=/root TERM=linux
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
hostname debian
for module in /lib/modules/*; do
  [ -e "$module" ] && insmod "$module"
done
uevent /etc/cpu-online &
cd /root

for word in $(cat /proc/cmdline); do
  case $word in
    xt.run=*) run=${word#xt.run=} ;;
  esac
done
if [ -n "$run" ]; then
  echo "$run" | base64 -d >/tmp/run
  # A console of its own gives the command job control and Ctrl-C.
  setsid cttyhack sh /tmp/run
  echo "xt: command ended with status $?"
  poweroff -f
fi
exec init
