listen "0.0.0.0:3000"
local function again() return again() + 1 end
again()
