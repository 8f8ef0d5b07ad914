# The planes' own tests that need the vrf and dummy modules (tests/kernel_plane and tests/frr_plane, marked ignored).
for plane in kernel_plane frr_plane; do
  "/run/work/$plane" --ignored --test-threads=1 | tee "$LOG/$plane"
  grep -q '^test result: ok. [1-9]' "$LOG/$plane"
done
