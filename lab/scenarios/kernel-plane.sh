# The kernel plane's own tests that need the vrf and dummy modules (tests/kernel_plane, marked ignored), but for what only
# measures.
/run/work/kernel_plane --ignored --skip pace --test-threads=1
