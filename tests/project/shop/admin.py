from django.contrib import admin

from project.shop.models import Item

admin.site.register(Item)
