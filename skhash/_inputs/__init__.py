"""What users give: checked, and brought into one form."""
