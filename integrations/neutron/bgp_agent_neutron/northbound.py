"""Annotations in OVN's Northbound: external_ids of Logical_Switch_Port, of which only the keys of an annotation are
ever written. The rest of a port is Neutron's."""

from bgp_agent_neutron import rules

TABLE = "Logical_Switch_Port"


def annotation(external_ids):
    """The annotation among a port's external_ids."""
    return {key: value for key, value in external_ids.items() if key in rules.KEYS}


def standing(nb):
    """Every port in OVN that carries an annotation, with it."""
    rows = nb.db_list_rows(TABLE).execute(check_error=True)
    return {row.name: annotation(row.external_ids) for row in rows if annotation(row.external_ids)}


def difference(nb, wished):
    """What must change so that these ports carry what is wished: port to keys that go and pairs that come. A port that
    is not in OVN (yet, or any more) is left out."""
    changes = {}
    for port, pairs in wished.items():
        row = nb.lookup(TABLE, port, default=None)
        if row is None:
            continue
        held = annotation(row.external_ids)
        gone = [key for key in held if key not in pairs]
        come = {key: value for key, value in pairs.items() if held.get(key) != value}
        if gone or come:
            changes[port] = (gone, come)
    return changes


def write(nb, changes):
    """Makes these changes in one transaction."""
    with nb.transaction(check_error=True) as transaction:
        for port, (gone, come) in changes.items():
            if gone:
                transaction.add(nb.db_remove(TABLE, port, "external_ids", *gone, if_exists=True))
            if come:
                transaction.add(nb.db_set(TABLE, port, ("external_ids", come)))
