# shellcheck shell=bash
# systemd as process 1 of namespaces of its own, and bgp-agent.service under it. Sourced with checks.sh, in a mount and a
# network namespace that are nobody else's. What is not a service's business (devices, sysctls, modules) stays off.

boot_systemd() { # boot_systemd ROOT: in this root file system, which can be written to; SYSTEMD is its process 1
  local unit root=$1
  # Without a mount at its root systemd can give no unit a view of its own of the file system.
  mountpoint -q "$root" || mount --bind "$root" "$root"
  mountpoint -q "$root/run" || mount -t tmpfs tmpfs "$root/run"
  for dir in tmp var/tmp var/log; do mount -t tmpfs tmpfs "$root/$dir"; done
  mount --rbind /dev "$root/dev"
  printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >"$root/etc/systemd/system/lab.target"
  for unit in sysctl modules-load binfmt remount-fs udevd udev-trigger timesyncd random-seed update-utmp; do
    ln -sf /dev/null "$root/etc/systemd/system/systemd-$unit.service"
  done
  ln -sf /dev/null "$root/etc/systemd/system/proc-sys-fs-binfmt_misc.automount"
  : >"$root/etc/machine-id"
  unshare --pid --cgroup --mount --fork --kill-child "$BASH" -c '
    mount -t proc proc "$1/proc" && mount -t sysfs sysfs "$1/sys" && mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup" &&
      exec chroot "$1" env -i container=lab /lib/systemd/systemd --unit=lab.target' - "$root" >/run/lab/log/systemd.log 2>&1 &
  UNSHARE=$!
  within 30 pid_of_systemd
  SYSTEMD=$(pid_of_systemd)
  within 240 inside systemctl is-active lab.target
}

pid_of_systemd() { pgrep -P $UNSHARE -f '^/lib/systemd/systemd '; }

inside() { # inside COMMAND...: as root beside that systemd
  nsenter --target "$SYSTEMD" --mount --pid --cgroup --root --wd=/ \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

of_unit() { inside systemctl show --value -p "$1" bgp-agent.service; } # of_unit PROPERTY
unit_is() { same "$1" "$2" "$(of_unit "$1")"; }                        # unit_is PROPERTY VALUE
unit_is_not() { ! unit_is "$@" >/dev/null || fail "$1 is still $2"; }
journal_says() { inside journalctl -u bgp-agent.service --no-pager | grep -E "$1"; }
alive_again() { [ "$(of_unit WatchdogTimestampMonotonic)" -gt "$1" ]; } # alive_again THAN: the watchdog has heard of it since
process_has() { grep -E "^$1:[[:space:]]+$2\$" "/proc/$SYSTEMD/root/proc/$(of_unit MainPID)/status"; } # process_has FIELD VALUE

installed() { # installed DEB: and neither enabled nor started; its watchdog is short
  inside dpkg --no-triggers --install "$1"
  unit_is ActiveState inactive
  same "whether it is enabled" disabled "$(inside systemctl is-enabled bgp-agent || true)"
  inside mkdir /etc/systemd/system/bgp-agent.service.d
  inside bash -c "printf '[Service]\nWatchdogSec=20\n' >/etc/systemd/system/bgp-agent.service.d/lab.conf"
  inside systemctl daemon-reload
}

started() { # it is ready, as its own user, with all of the unit's hardening
  inside systemctl start bgp-agent || { inside journalctl --no-pager -n 20; return 1; }
  unit_is ActiveState active
  unit_is Type notify
  process_has Uid "$(inside id -u bgp-agent | sed 's/.*/&\\s&\\s&\\s&/')"
  # CAP_DAC_OVERRIDE and CAP_NET_ADMIN, bits 1 and 12.
  process_has CapEff 0000000000001002
  process_has NoNewPrivs 1
  process_has Seccomp 2
}

started_anew() { # a process that hangs is killed by the watchdog, and there is another
  local before
  before=$(of_unit MainPID)
  inside kill -STOP "$before"
  within 120 unit_is NRestarts 1
  within 60 unit_is_not MainPID "$before"
  within 60 unit_is ActiveState active
  within 10 journal_says 'Watchdog timeout'
}

stopped() { # at once, and that is no failure
  local begin=$SECONDS
  inside systemctl stop bgp-agent
  [ $((SECONDS - begin)) -lt 10 ] || fail "it took $((SECONDS - begin)) s"
  unit_is ActiveState inactive
  unit_is Result success
}
