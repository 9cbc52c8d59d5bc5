"""roc-validator on one crate, in an environment of its own and without a network; not a test itself.

Arguments: the JSON-LD context that comes with the package rocrate, and the crate. Prints what is wrong.
"""

import email
import io
import sys
import urllib.request
import urllib.response
from pathlib import Path

import requests

# The later context differs in the address of the terms of Bioschemas.
CONTEXT = Path(sys.argv[1]).read_bytes().replace(b"bioschemas.org/terms/", b"bioschemas.org/")
WANTED = "ro/crate/1.1/context"


class Local(urllib.request.BaseHandler):
    """The context, from the file, for rdflib."""

    handler_order = 100

    def https_open(self, request):
        if WANTED not in request.full_url:
            return None
        head = email.message_from_string("Content-Type: application/ld+json\n\n")
        answer = urllib.response.addinfourl(io.BytesIO(CONTEXT), head, request.full_url, 200)
        answer.msg = "OK"
        return answer


def local(session, method, url, **options):
    """The context, from the file, for the validator itself."""
    if WANTED not in url:
        return everywhere(session, method, url, **options)
    answer = requests.Response()
    answer.status_code, answer._content, answer.url = 200, CONTEXT, url
    answer.headers["Content-Type"] = "application/ld+json"
    return answer


everywhere, requests.Session.request = requests.Session.request, local
urllib.request.install_opener(urllib.request.build_opener(Local))

from rocrate_validator import services  # noqa: E402
from rocrate_validator.models import Severity  # noqa: E402

found = services.validate(
    services.ValidationSettings(
        rocrate_uri=sys.argv[2],
        profile_identifier="workflow-run-crate-0.5",
        requirement_severity=Severity.REQUIRED,
    )
)
for issue in found.get_issues():
    print(issue.check.identifier, issue.message, issue.violatingEntity)
