# shellcheck shell=bash
# A Neutron server beside OVN's databases, as functions: API workers under uwsgi and the OVN maintenance worker, sqlite, no
# keystone. VENV names the virtual environment that install made, here this folder.

NEUTRON_PORT=${NEUTRON_PORT:-9696}

neutron_config() { # neutron_config DIR NB SB [LINE...]: DIR/neutron.conf and an empty database; LINEs go into [ovn_bgpvpn]
  local dir=$1 nb=$2 sb=$3
  shift 3
  mkdir -p "$dir"
  cp "$VENV/neutron.sqlite" "$dir/"
  cat >"$dir/neutron.conf" <<CONFIG
[DEFAULT]
core_plugin = ml2
service_plugins = ovn-router,bgpvpn
auth_strategy = noauth
transport_url = fake:/
api_paste_config = $VENV/etc/neutron/api-paste.ini
state_path = $dir
notify_nova_on_port_status_changes = False
notify_nova_on_port_data_changes = False
log_file = $dir/neutron.log
[oslo_concurrency]
lock_path = $dir
[database]
connection = sqlite:///$dir/neutron.sqlite
[ml2]
mechanism_drivers = ovn
type_drivers = geneve,flat
tenant_network_types = geneve
extension_drivers = port_security
[ml2_type_geneve]
vni_ranges = 1:65536
max_header_size = 38
[ml2_type_flat]
flat_networks = *
[ovn]
ovn_nb_connection = $nb
ovn_sb_connection = $sb
ovsdb_connection_timeout = 30
[service_providers]
service_provider = BGPVPN:OVN:bgp_agent_neutron.driver.OVNBGPVPNDriver:default
[ovn_bgpvpn]
CONFIG
  [ $# = 0 ] || printf '%s\n' "$@" >>"$dir/neutron.conf"
}

start_neutron() { # start_neutron DIR: the API; NEUTRON is its process
  cat >"$1/uwsgi.ini" <<CONFIG
[uwsgi]
http-socket = 127.0.0.1:$NEUTRON_PORT
pythonpath = $here
module = server_api:application
venv = $VENV
master = true
lazy-apps = true
enable-threads = true
threads = 2
processes = 1
die-on-term = true
need-app = true
add-header = Connection: close
buffer-size = 65535
start-time = %t
CONFIG
  OS_NEUTRON_CONFIG_FILES=$1/neutron.conf "$VENV/bin/uwsgi" --ini "$1/uwsgi.ini" >"$1/api.log" 2>&1 &
  NEUTRON=$!
}

start_maintenance() { # start_maintenance DIR: the OVN maintenance worker; MAINTENANCE is its process
  "$VENV/bin/neutron-ovn-maintenance-worker" --config-file "$1/neutron.conf" >"$1/maintenance.log" 2>&1 &
  MAINTENANCE=$!
}

neutron_answers() { rest GET networks; }

rest() { # rest METHOD PATH [JSON]: the answer's body; fails, with the body, on an HTTP error
  "$VENV/bin/python" -S - "$1" "http://127.0.0.1:$NEUTRON_PORT/v2.0/$2" "${3:-}" <<'PYTHON'
import sys, urllib.error, urllib.request
method, url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"}, method=method)
try:
    print(urllib.request.urlopen(request, timeout=120).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
    sys.exit(1)
except urllib.error.URLError as error:
    print(error.reason)
    sys.exit(1)
PYTHON
}

make() { # make RESOURCE JSON: creates it and prints its id; RESOURCE is a path, its last part the plural of the name
  local name=${1##*/}
  name=${name%s}
  rest POST "$1" "{\"$name\": $2}" | jq -er ".$name.id"
}
