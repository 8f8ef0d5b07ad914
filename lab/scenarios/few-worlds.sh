# Three random worlds, in every run: see random-worlds.
# limit: 900 s
WORLDS=${WORLDS:-3}
. "$lab/scenarios/random-worlds.sh"
