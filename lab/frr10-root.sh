#!/bin/bash
# frr10-root.sh FOLDER [SUITE]: unpacks FRR 10 into FOLDER, where tests/frr10_plane.rs finds it by FRR10_ROOT=FOLDER.
# SUITE is trixie (FRR 10.3, default) or sid. Packages come from this machine's Debian mirror. Needs root and mmdebstrap
# (plain debootstrap does not resolve systemd's new dependencies).
set -eu
root=${1:?"usage: $0 FOLDER [SUITE]"} suite=${2:-trixie}
if [ -x "$root/usr/lib/frr/mgmtd" ]; then echo "$root has FRR already"; exit 0; fi
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is missing: apt-get install mmdebstrap" >&2; exit 1; }
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  sed -nE 's#^(URIs:|deb (\[[^]]*\] )?) *(https?://[^ ]*/debian/?)( .*)?$#\3#p' | head -1)
mmdebstrap --quiet --variant=apt --include=frr,iproute2 --aptopt='Acquire::Check-Valid-Until "false"' \
  "$suite" "$root" "${mirror:?no Debian mirror among the apt sources of this machine}"
chroot "$root" /usr/lib/frr/zebra --version | head -1
