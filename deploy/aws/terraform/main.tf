# The broker's table, as deploy/aws/table.yml makes it with CloudFormation: take one of the two. A test holds them together.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.13"
    }
  }
}

variable "table_name" {
  description = "The broker's DDB_TABLE_NAME."
  type        = string
  default     = "SandboxPool"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{3,255}$", var.table_name))
    error_message = "A table's name has 3 to 255 of A-Z a-z 0-9 . _ -"
  }
}

variable "warm_write_units" {
  description = "Write units a second that the table takes from the start on. A new one takes 4,000, which costs nothing."
  type        = number
  default     = 4000

  validation {
    condition     = var.warm_write_units >= 4000
    error_message = "A new table takes 4000 write units a second anyway."
  }
}

resource "aws_dynamodb_table" "table" {
  name         = var.table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "status_key"
    type = "S"
  }

  attribute {
    name = "due_key"
    type = "S"
  }

  local_secondary_index {
    name            = "by_status"
    range_key       = "status_key"
    projection_type = "ALL"
  }

  local_secondary_index {
    name            = "by_due"
    range_key       = "due_key"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # What a table has grown to by itself stays: only more than a new one has is asked for.
  dynamic "warm_throughput" {
    for_each = var.warm_write_units > 4000 ? [var.warm_write_units] : []

    content {
      read_units_per_second  = 12000
      write_units_per_second = warm_throughput.value
    }
  }

  deletion_protection_enabled = true

  # Neither a destroyed module nor a change that needs a new table takes the leases away.
  lifecycle {
    prevent_destroy = true
  }
}

output "table_name" {
  value = aws_dynamodb_table.table.name
}

output "table_arn" {
  value = aws_dynamodb_table.table.arn
}
