"""Neutron's API on sqlite: what sqlite cannot lock is a deadlock, as oslo.db takes it for other databases. Neutron then does
the request again, where it would otherwise end it with an error."""

from oslo_db import exception
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import exc


@exc_filters.filters("sqlite", exc.OperationalError, r"^.*database is locked.*")
def _locked(operational_error, match, engine_name, is_disconnect):
    raise exception.DBDeadlock(operational_error)


from neutron.wsgi.api import application  # noqa: E402,F401  after the filter, since it begins to serve
