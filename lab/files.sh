# shellcheck shell=bash
# own_files: called once in fresh namespaces. Gives them their own /run, /tmp, /var/tmp, /var/log, and what FRR keeps; of the
# lab's only /run/work stays. Each of FRR's daemons keeps its own file, so that `write memory` writes nothing of the machine's.
own_files() {
  mount -t tmpfs tmpfs /tmp && mkdir -p /tmp/run/work /tmp/run/lab/log && mount --rbind /run/work /tmp/run/work &&
    mount --rbind /tmp/run /run && mount -t tmpfs tmpfs /var/tmp && mount -t tmpfs tmpfs /var/log &&
    { [ ! -d /var/lib/frr ] || mount -t tmpfs tmpfs /var/lib/frr; } && mount -t tmpfs tmpfs /etc/frr &&
    echo 'no service integrated-vtysh-config' >/etc/frr/vtysh.conf && mount -t sysfs sysfs /sys && ip link set lo up
}
