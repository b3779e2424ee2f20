"""The API of the sample, in Django's plain `TestCase`: what two tenants see, and what becomes of djfapi's rows."""

from typing import Any

from companies.management.commands.seed import SCOPES
from companies.models import Company, CostCentre, Employee, Tenant, User
from djfast_mount.testing import ApiTestCase
from djfast_mount.tokens.models import APIToken

COMPANIES = "/api/v1/companies"


class CompaniesTest(ApiTestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.texts = {}
        for name in ("north", "south"):
            tenant = Tenant.objects.create(name=name)
            user = User.objects.create_user(name, tenant=tenant)
            cls.texts[name] = APIToken.objects.issue(user, "test", SCOPES).text
            company = Company.objects.create(tenant=tenant, name=f"{name} Ltd", size=3)
            CostCentre.objects.create(tenant=tenant, code="1", name=name)
            company.departments.create(name="Engines").teams.create(name="Difference")
            Employee.objects.create(company=company, name="Ada", email=f"ada@{name}.example")

    def setUp(self) -> None:
        self.use("north")
        self.north, self.south = (Company.objects.get(name=f"{name} Ltd") for name in ("north", "south"))

    def use(self, name: str) -> None:
        self.api.headers["Authorization"] = f"Bearer {self.texts[name]}"

    def ok(self, answer: Any, status: int = 200) -> Any:
        self.assertEqual(answer.status_code, status, answer.text)
        return answer.json() if answer.content else None

    def test_each_tenant_sees_its_own(self) -> None:
        """A list, a row and a name are those of the token's tenant."""
        for name, own, other in (("north", self.north, self.south), ("south", self.south, self.north)):
            self.use(name)
            self.assertEqual([item["id"] for item in self.ok(self.api.get(COMPANIES))["items"]], [own.pk])
            self.assertEqual(self.ok(self.api.get(f"{COMPANIES}/names")), [own.name])
            self.assertEqual(self.api.get(f"{COMPANIES}/{other.pk}").status_code, 404)
            self.assertEqual(self.api.get(f"{COMPANIES}/{other.pk}/departments").status_code, 404)

    def test_a_cost_centre_of_another_tenant(self) -> None:
        """It cannot be named: as for one that is not there, 422."""
        own, other = (CostCentre.objects.get(name=name).pk for name in ("north", "south"))
        path = f"{COMPANIES}/{self.north.pk}/departments"
        self.ok(self.api.post(path, json={"name": "Mill", "cost_centre": own}), 201)
        answers = [self.api.post(path, json={"name": "M", "cost_centre": key}) for key in (other, 10**6)]
        told = [answer.text.replace(str(key), "") for answer, key in zip(answers, (other, 10**6), strict=True)]
        self.assertEqual([answer.status_code for answer in answers], [422, 422])
        self.assertEqual(told[0], told[1])

    def test_a_company_is_made_changed_and_closed(self) -> None:
        """It gets the caller's tenant, and a closed one is in no list, until it is opened again."""
        made = self.ok(self.api.post(COMPANIES, json={"name": "New", "departments": [{"name": "A", "teams": []}]}), 201)
        path = f"{COMPANIES}/{made['id']}"
        self.assertEqual(Company.objects.get(pk=made["id"]).tenant.name, "north")
        self.assertEqual(self.ok(self.api.patch(path, json={"size": 7}))["size"], 7)
        self.ok(self.api.delete(path), 204)
        self.assertEqual(self.api.get(path).status_code, 404)
        self.assertEqual(self.ok(self.api.post(f"{path}/reopen"))["status"], "open")
        self.assertEqual(self.ok(self.api.get(path))["size"], 7)
        self.use("south")
        self.assertEqual(self.api.post(f"{path}/reopen").status_code, 404)

    def test_three_levels(self) -> None:
        """Teams are below their department, below their company."""
        department = self.north.departments.get()
        path = f"{COMPANIES}/{self.north.pk}/departments/{department.pk}/teams"
        self.assertEqual([item["name"] for item in self.ok(self.api.get(path))["items"]], ["Difference"])
        team = self.ok(self.api.post(path, json={"name": "Analytical"}), 201)
        self.assertEqual(self.ok(self.api.patch(f"{path}/{team['id']}", json={"name": "B"}))["name"], "B")
        self.ok(self.api.delete(f"{path}/{team['id']}"), 204)

    def test_filters_and_numbers(self) -> None:
        """Rows are found by what belongs to them, each once, and counted."""
        self.north.departments.create(name="Engines 2")
        found = self.ok(self.api.get(f"{COMPANIES}?departments__name__icontains=engines&departments__count__gte=2"))
        self.assertEqual([item["name"] for item in found["items"]], ["north Ltd"])
        self.assertEqual(self.ok(self.api.get(f"{COMPANIES}?search=north+engines&total=true"))["total"], 1)
        counted = self.ok(self.api.get(f"{COMPANIES}/aggregate/count/departments?group_by=status"))
        self.assertEqual(counted["values"], [{"value": 2, "status": "open"}])

    def test_scopes_and_short_lived_tokens(self) -> None:
        """A token is exchanged for one that can do less, for a few minutes."""
        made = self.ok(self.api.post("/api/v1/tokens/transaction", json={"scopes": ["companies.read"]}), 201)
        self.api.headers["Authorization"] = f"Bearer {made['token']}"
        self.ok(self.api.get(COMPANIES))
        self.assertEqual(self.api.post(COMPANIES, json={"name": "x"}).status_code, 403)
        self.assertEqual(self.api.get("/api/v1/cost-centres").status_code, 403)
        del self.api.headers["Authorization"]
        self.assertEqual(self.api.get(COMPANIES).status_code, 401)
