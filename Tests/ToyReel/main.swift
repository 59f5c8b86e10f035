import Commands
import Glibc

exit(Program.run(domains: [.recording, .lamps]))
