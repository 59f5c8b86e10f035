import Console
import Glibc
import Supervision

/// Finds the configuration file of a command: `--config FILE`, else `reel.conf` in the data folder.
enum ConfigurationLookup {
    static func file(for invocation: Invocation) throws -> ConfigurationFile {
        let named =
            invocation.given(Common.config) ?? environmentVariable(Common.config.declaration.variable ?? "")
        if let named {
            do throws(SystemFailure) {
                return ConfigurationFile(path: named, text: try FileText.read(named))
            } catch {
                throw UsageError(
                    ["--config \(named): \(error.text); name a file that can be read"],
                    command: invocation.command.name)
            }
        }
        let folder =
            invocation.given(Common.data) ?? environmentVariable(Common.data.declaration.variable ?? "")
            ?? Common.defaultData
        let usual = "\(folder)/reel.conf"
        do throws(SystemFailure) {
            return ConfigurationFile(path: usual, text: try FileText.read(usual))
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return .none }
            throw CommandFailure(.dependency, "\(usual): \(error.text); make it readable or remove it")
        }
    }
}
