from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from simulations.models import Simulation, User

admin.site.register(User, UserAdmin)


@admin.register(Simulation)
class SimulationAdmin(admin.ModelAdmin):
    list_display = ["name", "owner", "start_date", "end_date"]
    list_filter = ["owner"]
    search_fields = ["name"]
    date_hierarchy = "start_date"
