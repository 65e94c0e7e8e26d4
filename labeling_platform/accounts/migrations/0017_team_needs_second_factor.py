from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0016_wall_of_tokens")]

    operations = [
        migrations.AddField(
            model_name="team",
            name="needs_second_factor",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Members without a second factor get no page of the team."
            ),
        ),
    ]
