return { too_long = "В заметке не больше %d знаков" }
