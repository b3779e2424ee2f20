from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from companies.models import Company, CostCentre, Department, Employee, Team, Tenant, User

admin.site.register([Tenant, CostCentre, Department, Team, Employee])


class DepartmentInline(admin.TabularInline):
    model = Department
    extra = 0


@admin.register(Company)
class CompanyAdmin(admin.ModelAdmin):
    list_display = ["name", "tenant", "status", "founded", "size"]
    list_filter = ["tenant", "status"]
    inlines = [DepartmentInline]


@admin.register(User)
class TenantUserAdmin(UserAdmin):
    fieldsets = [*UserAdmin.fieldsets, ("Tenant", {"fields": ["tenant"]})]
